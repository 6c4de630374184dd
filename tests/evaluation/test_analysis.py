"""What is told of one system."""

import json
from dataclasses import asdict

import pytest

from nmt_cli.evaluation.analysis import analyse, robustness, with_intervals
from nmt_cli.evaluation.metrics import build_metrics, measure
from nmt_cli.evaluation.metrics.contract import Texts
from nmt_cli.evaluation.where.robustness import DISTURBANCES
from nmt_cli.recipe.evaluation import Evaluation

SETTINGS = Evaluation(metrics=["chrf", "ter"], resamples=20)
REFERENCES = ["Ein Hund läuft.", "Zwei Kinder spielen 2 Spiele.", ""]
SOURCES = ["A dog runs.", "Two children play 2 games.", ""]
TEXTS = Texts(["Ein Hund rennt.", "Zwei Kinder spielen.", ""], [REFERENCES], SOURCES)


def test_all_that_is_told_is_strict_json_whatever_the_lines() -> None:
    for texts in (TEXTS, Texts([""], [[""]], [""]), Texts([""], [["a"]]), Texts(["a"], [[""]], ["a"])):
        measured = measure(texts, build_metrics(Evaluation(metrics=["bleu", "chrf", "ter", "per", "wer"])))
        told = asdict(analyse(texts, measured, SETTINGS, {"Ein": 3}, ["x"] * len(texts.hypotheses)))
        assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_lines_without_training_text_have_no_bands_of_words() -> None:
    found = analyse(TEXTS, measure(TEXTS, build_metrics(SETTINGS)), SETTINGS)
    assert found.word_bands == []
    assert "rarest target word" not in {part.kind for part in found.slices}
    assert found.lines_by == "chrF2"


def test_intervals_come_with_scores_unless_none_are_wanted() -> None:
    measured = measure(TEXTS, build_metrics(SETTINGS))
    for score in with_intervals(measured, SETTINGS):
        assert score.interval is not None
        assert score.interval.low <= score.value <= score.interval.high
        assert score.as_sacrebleu()["bs"] == "20"
    plain = with_intervals(measured, SETTINGS.model_copy(update={"resamples": None}))
    assert [score.interval for score in plain] == [None, None]
    assert "bs" not in plain[0].as_sacrebleu()


def test_a_model_that_follows_its_source_is_robust_and_one_that_does_not_is_not() -> None:
    upper = DISTURBANCES[0]
    sources = upper.sources(SOURCES)
    good = Texts([line.upper() for line in TEXTS.hypotheses], TEXTS.references, sources)
    lost = Texts(["?", "?", ""], TEXTS.references, sources)

    found = robustness(TEXTS, good, upper, SETTINGS)
    assert found.changed == 2
    assert [(drop.metric, drop.difference, drop.p) for drop in found.drops] == [("chrf", 0, 1), ("ter", 0, 1)]
    assert found.examples == []

    found = robustness(TEXTS, lost, upper, SETTINGS)
    assert found.drops[0].difference == pytest.approx(-found.drops[0].undisturbed)
    assert found.drops[1].difference > 0
    assert {example.line for example in found.examples} == {1, 2}
    [first] = [example for example in found.examples if example.line == 1]
    assert (first.source, first.disturbed_source) == ("A dog runs.", "A DOG RUNS.")
    assert (first.hypothesis, first.disturbed_hypothesis) == ("Ein Hund rennt.", "?")
