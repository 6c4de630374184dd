"""Scores are sacreBLEU's, to the last digit."""

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from sacrebleu.metrics import BLEU

from nmt_cli.errors import DataError
from nmt_cli.evaluation.metrics import METRICS, exact_match, length_ratio, score
from nmt_cli.recipe.evaluation import Evaluation, MetricName

TEST2016 = Path(__file__).parents[4] / "shared/data/multi30k/test_2016_flickr.de.gz"

REFERENCES = [
    "The cat sat on the mat, and the dog saw it.",
    "Nobody expects 1,000 lines by 9.30 p.m.!",
    'Wait… what? She said: "No."',
    "我们 今天 去 公园 散步。",
    "A line\u2028with a separator, and a\rreturn.",
]
HYPOTHESES = [
    "The cat sat on a mat and the dog saw it.",
    "Nobody expects 1,000 lines at 9.30 p.m.",
    "",
    "我们 今天 去 散步。",
    "A line\u2028with a separator, and a return.",
]


def sacrebleu(folder: Path, hypotheses: list[str], references: list[list[str]], tokenizer: str) -> list[dict[str, str]]:
    """What sacreBLEU's command line prints."""
    names = [f"reference{number}" for number in range(len(references))]
    for name, lines in zip(["hypotheses", *names], [hypotheses, *references], strict=True):
        (folder / name).write_bytes("".join(f"{line}\n" for line in lines).encode())
    options = ["-i", "hypotheses", "-m", "bleu", "chrf", "-tok", tokenizer, "-w", "12", "-f", "json"]
    command = [sys.executable, "-m", "sacrebleu", *names, *options]
    printed = subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout
    return json.loads(printed)


@pytest.mark.parametrize("tokenizer", ["13a", "intl", "zh", "char"])
def test_scores_are_what_sacrebleu_prints(tmp_path: Path, tokenizer: str) -> None:
    expected = sacrebleu(tmp_path, HYPOTHESES, [REFERENCES], tokenizer)

    found = score(HYPOTHESES, [REFERENCES], Evaluation(bleu_tokenizer=tokenizer))

    assert [each.as_sacrebleu() for each in found] == [
        {**fields, "score": pytest.approx(fields["score"], abs=1e-9)} for fields in expected
    ]


def test_several_references_are_scored_as_sacrebleu_does(tmp_path: Path) -> None:
    others = [line.replace("the", "a") for line in REFERENCES]

    expected = sacrebleu(tmp_path, HYPOTHESES, [REFERENCES, others], "13a")
    found = score(HYPOTHESES, [REFERENCES, others], Evaluation())

    assert [each.value for each in found] == pytest.approx([fields["score"] for fields in expected], abs=1e-9)
    assert all("nrefs:2" in each.signature for each in found)


def test_real_translations_score_the_same(tmp_path: Path) -> None:
    if not TEST2016.is_file():
        pytest.skip("Multi30k is not here")
    references = gzip.decompress(TEST2016.read_bytes()).decode().split("\n")[:300]
    chance = random.Random(1)
    hypotheses = [" ".join(word for word in line.split() if chance.random() < 0.9) for line in references]

    expected = sacrebleu(tmp_path, hypotheses, [references], "13a")

    found = [each.value for each in score(hypotheses, [references], Evaluation())]
    assert found == pytest.approx([fields["score"] for fields in expected], abs=1e-9)


def test_the_recipe_chooses_metrics_and_their_order() -> None:
    found = score(HYPOTHESES, [REFERENCES], Evaluation(metrics=["chrf", "bleu"]))
    assert [(each.key, each.name) for each in found] == [("chrf", "chrF2"), ("bleu", "BLEU")]


def test_every_metric_of_the_schema_exists() -> None:
    assert tuple(METRICS) == get_args(MetricName)


def test_translations_that_say_nothing_score_zero() -> None:
    found = score(["", ""], [["a b c d e", "f"]], Evaluation())
    assert [each.value for each in found] == [0.0, 0.0]


@settings(max_examples=50, deadline=None)
@given(some.lists(some.tuples(some.text(), some.text()), min_size=1, max_size=5))
def test_any_text_gets_a_score_that_is_a_plain_number(pairs: list[tuple[str, str]]) -> None:
    hypotheses, references = map(list, zip(*pairs, strict=True))
    for found in score(hypotheses, [references], Evaluation()):
        assert type(found.value) is float
        assert 0 <= found.value <= 100 + 1e-9


def test_sacrebleu_itself_stays_silent_about_tokenised_text(caplog: pytest.LogCaptureFixture) -> None:
    score(["It is ."] * 100, [["It is."] * 100], Evaluation())
    assert not caplog.records


def test_sides_of_unequal_length_are_refused_with_both_counts() -> None:
    with pytest.raises(DataError, match="3 hypotheses but 2 references in set 2"):
        score(["a", "b", "c"], [["a", "b", "c"], ["a", "b"]], Evaluation())


def test_no_sentences_and_no_references_are_refused() -> None:
    with pytest.raises(DataError, match="no sentences"):
        score([], [[]], Evaluation())
    with pytest.raises(DataError, match="at least one set of references"):
        score(["a"], [], Evaluation())


def test_an_exact_match_equals_any_one_reference() -> None:
    assert exact_match(["a", "b", "c ", "D"], [["a", "x", "c", "d"], ["x", "b", "c", "d"]]) == 50.0


def test_lengths_are_compared_with_the_mean_of_the_references() -> None:
    assert length_ratio(["aaaa"], [["aa"], ["aaaaaa"]]) == 1.0
    assert length_ratio(["aaaa"], [[""]]) == 0.0


def test_a_score_names_the_version_that_made_it() -> None:
    metric = BLEU()
    metric.corpus_score(["a"], [["a"]])
    assert score(["a"], [["a"]], Evaluation())[0].signature == metric.get_signature().format()
