"""What is content of one system."""

import json
from dataclasses import asdict

import pytest

from nmt_cli.evaluation.analysis import analyse, measure_robustness, with_intervals
from nmt_cli.evaluation.breakdown.perturbations import PERTURBATIONS
from nmt_cli.evaluation.metrics import build_metrics, compute_statistics
from nmt_cli.evaluation.metrics.metric import EvaluationTexts
from nmt_cli.recipe.evaluation import Evaluation

SETTINGS = Evaluation(metrics=["chrf", "ter"], resamples=20)
REFERENCES = ["Ein Hund läuft.", "Zwei Kinder spielen 2 Spiele.", ""]
SOURCES = ["A dog runs.", "Two children play 2 games.", ""]
TEXTS = EvaluationTexts(["Ein Hund rennt.", "Zwei Kinder spielen.", ""], [REFERENCES], SOURCES)


def test_analysis_is_strict_json_for_unusual_lines() -> None:
    for texts in (
        TEXTS,
        EvaluationTexts([""], [[""]], [""]),
        EvaluationTexts([""], [["a"]]),
        EvaluationTexts(["a"], [[""]], ["a"]),
    ):
        statistics = compute_statistics(texts, build_metrics(Evaluation(metrics=["bleu", "chrf", "ter", "per", "wer"])))
        content = asdict(analyse(texts, statistics, SETTINGS, {"Ein": 3}, ["x"] * len(texts.hypotheses)))
        assert json.loads(json.dumps(content, allow_nan=False)) == content


def test_analyse_without_training_text_has_no_word_bands() -> None:
    found = analyse(TEXTS, compute_statistics(TEXTS, build_metrics(SETTINGS)), SETTINGS)
    assert found.word_bands == []
    assert "rarest target word" not in {part.kind for part in found.slices}
    assert found.sort_metric == "chrF2"


def test_with_intervals_adds_intervals_unless_disabled() -> None:
    statistics = compute_statistics(TEXTS, build_metrics(SETTINGS))
    for score in with_intervals(statistics, SETTINGS):
        assert score.interval is not None
        assert score.interval.low <= score.value <= score.interval.high
        assert score.as_sacrebleu()["bs"] == "20"
    plain = with_intervals(statistics, SETTINGS.model_copy(update={"resamples": None}))
    assert [score.interval for score in plain] == [None, None]
    assert "bs" not in plain[0].as_sacrebleu()


def test_robustness_of_a_good_and_a_broken_model() -> None:
    upper = PERTURBATIONS[0]
    sources = upper.perturb_lines(SOURCES)
    good = EvaluationTexts([line.upper() for line in TEXTS.hypotheses], TEXTS.references, sources)
    lost = EvaluationTexts(["?", "?", ""], TEXTS.references, sources)

    found = measure_robustness(TEXTS, good, upper, SETTINGS)
    assert found.changed_lines == 2
    assert [(drop.metric, drop.difference, drop.p) for drop in found.drops] == [("chrf", 0, 1), ("ter", 0, 1)]
    assert found.examples == []

    found = measure_robustness(TEXTS, lost, upper, SETTINGS)
    assert found.drops[0].difference == pytest.approx(-found.drops[0].original)
    assert found.drops[1].difference > 0
    assert {example.line for example in found.examples} == {1, 2}
    [first] = [example for example in found.examples if example.line == 1]
    assert (first.source, first.perturbed_source) == ("A dog runs.", "A DOG RUNS.")
    assert (first.hypothesis, first.perturbed_hypothesis) == ("Ein Hund rennt.", "?")
