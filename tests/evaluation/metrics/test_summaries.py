"""ROUGE and METEOR: by their packages if these are installed, else told in one line."""

import importlib.util
from typing import Any

import pytest

from nmt_cli.errors import RecipeError
from nmt_cli.evaluation.metrics import build_metrics, measure, score, summaries
from nmt_cli.evaluation.metrics.contract import Texts
from nmt_cli.recipe.evaluation import Evaluation

ROUGE = Evaluation(metrics=["rouge1", "rouge2", "rougeL"])
needs_rouge = pytest.mark.skipif(importlib.util.find_spec("rouge_score") is None, reason="rouge-score is not installed")
needs_nltk = pytest.mark.skipif(importlib.util.find_spec("nltk") is None, reason="nltk is not installed")


class NoSynonyms:
    """A WordNet that knows no word."""

    def synsets(self, word: str) -> list[Any]:
        return []


@pytest.mark.parametrize(("key", "package"), [("rouge1", "rouge-score"), ("rougeL", "rouge-score"), ("meteor", "nltk")])
def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, key: str, package: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=rf"{key} needs the package {package}.*pip install 'nmt-cli\[metrics\]'"):
        build_metrics(Evaluation(metrics=[key]))


def test_words_are_those_of_any_script() -> None:
    assert summaries.words("Über 10,5 Hunde_läufe…") == ["über", "10", "5", "hunde", "läufe"]


@needs_rouge
def test_rouge_is_that_of_rouge_score_on_english() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    hypotheses, references = (
        ["The cat sat there on the mat.", "Nobody, ever!"],
        ["The cat sat on a mat.", "ever nobody"],
    )
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    found = {each.key: each.value for each in score(hypotheses, [references], ROUGE)}
    pairs = list(zip(references, hypotheses, strict=True))
    for key, value in found.items():
        expected = [scorer.score(*pair)[key].fmeasure for pair in pairs]
        assert value == pytest.approx(100 * sum(expected) / 2, abs=1e-9)


@needs_rouge
def test_letters_beyond_ascii_count_for_rouge() -> None:
    [found, *_] = score(["Über Öl"], [["Über Äcker"]], ROUGE)
    assert found.value == pytest.approx(50)


@needs_rouge
def test_the_best_reference_counts_for_rouge() -> None:
    assert [found.value for found in score(["a b c"], [["x"], ["a b c"]], ROUGE)] == [100, 100, 100]


@needs_nltk
def test_meteor_of_the_same_words_is_almost_a_hundred() -> None:
    same = ["a", "cat", "sat", "on", "the", "mat"]
    metric = summaries.meteor_with(NoSynonyms())
    [found] = measure(Texts([" ".join(same), "x"], [[" ".join(same), "y"]]), [metric])
    assert found.value == pytest.approx((100 * (1 - 0.5 / len(same) ** 3) + 0) / 2)
    assert "synonyms:wordnet" in found.signature
