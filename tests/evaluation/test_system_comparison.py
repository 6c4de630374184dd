"""Comparison of several systems on one test set."""

import json
import random
from dataclasses import asdict
from statistics import fmean, stdev

import pytest

from nmt_cli.evaluation.metrics import score
from nmt_cli.evaluation.significance import PairedTest
from nmt_cli.evaluation.system_comparison import ComparedTestSet, SystemOutput, compare
from nmt_cli.recipe.evaluation import Evaluation

SETTINGS = Evaluation(metrics=["bleu", "ter"], resamples=50)
TEST = PairedTest("randomisation", 200, 1)
WORDS = ["der", "Hund", "läuft", "über", "das", "grüne", "Gras"]


def corrupted(lines: list[str], accuracy: float, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(w if rng.random() < accuracy else rng.choice(WORDS) for w in line.split()) for line in lines]


@pytest.fixture(scope="module")
def references() -> list[str]:
    rng = random.Random(1)
    return [" ".join(rng.choices(WORDS, k=rng.randrange(3, 12))) for _ in range(80)]


def test_compare_tests_each_system_against_the_first(references: list[str]) -> None:
    systems = [
        SystemOutput(str(accuracy), ("run",), (corrupted(references, accuracy, 3),))
        for accuracy in (0.5, 0.51, 0.95, 0.1)
    ]
    found = compare(systems, ComparedTestSet("test", [references]), SETTINGS, TEST)
    found_better = {(result.second, result.metric): result.second_is_better for result in found.results}
    assert found_better == {
        ("0.51", "bleu"): None,
        ("0.51", "ter"): None,
        ("0.95", "bleu"): True,
        ("0.95", "ter"): True,
        ("0.1", "bleu"): False,
        ("0.1", "ter"): False,
    }


def test_compare_describes_results_in_sentences(references: list[str]) -> None:
    accuracies = {"A": 0.5, "B": 0.95, "C": 0.51}
    systems = [
        SystemOutput(name, ("run",), (corrupted(references, accuracy, 3),)) for name, accuracy in accuracies.items()
    ]
    found = compare(systems, ComparedTestSet("test", [references]), SETTINGS, TEST)
    assert found.results[0].verdict.startswith("BLEU: B is better than A (p = 0.005")
    assert found.results[1].verdict == "TER: B is better than A (p = 0.005)"
    assert found.results[2].verdict.startswith(
        "BLEU: no significant difference between A and C on 80 sentences (p = 0."
    )
    swapped = compare([systems[1], systems[0]], ComparedTestSet("test", [references]), SETTINGS, TEST)
    assert swapped.results[0].verdict.startswith("BLEU: B is better than A (p = 0.005")


def test_compare_averages_the_runs_of_a_system(references: list[str]) -> None:
    outputs = tuple(corrupted(references, 0.8, seed) for seed in range(3))
    systems = [SystemOutput("A (3 seeds)", ("a1", "a2", "a3"), outputs), SystemOutput("B", ("b",), (references,))]
    found = compare(systems, ComparedTestSet("test", [references]), SETTINGS, TEST)
    values = [score(each, [references], SETTINGS)[0].value for each in outputs]
    [seeds, *_] = found.scores
    assert seeds.run_scores == pytest.approx(dict(zip(("a1", "a2", "a3"), values, strict=True)))
    assert (seeds.value, seeds.stdev) == (pytest.approx(fmean(values)), pytest.approx(stdev(values)))
    assert found.scores[2].stdev is None
    assert found.results[0].second_is_better
    assert "over sentences" in found.results[0].verdict
    assert "over seeds" in found.results[0].verdict


def test_compare_does_not_call_a_difference_within_the_spread_over_seeds_better(references: list[str]) -> None:
    outputs = tuple(corrupted(references, accuracy, 3) for accuracy in (0.95, 0.5, 0.5))
    systems = [
        SystemOutput("A", ("a",), (corrupted(references, 0.5, 3),)),
        SystemOutput("B (3 seeds)", ("b1", "b2", "b3"), outputs),
    ]
    [bleu, *_] = compare(systems, ComparedTestSet("test", [references]), SETTINGS, TEST).results
    assert bleu.p < 0.05 < (bleu.seed_p or 0)
    assert bleu.second_is_better is None


def test_compare_breaks_down_all_systems(references: list[str]) -> None:
    systems = [SystemOutput(name, ("run",), (corrupted(references, 0.7, seed),)) for name, seed in (("A", 1), ("B", 2))]
    common = ComparedTestSet("test", [references], references, ["x", "y"] * 40, {"Hund": 7})
    found = compare(systems, common, SETTINGS, TEST)
    tags = {part.name: part for part in found.slices if part.kind == "tag"}
    assert {(name, part.sentences, *part.scores["bleu"]) for name, part in tags.items()} == {
        ("x", 40, "A", "B"),
        ("y", 40, "A", "B"),
    }
    [pair] = found.pairs
    assert (pair.first, pair.second, pair.sort_metric) == ("A", "B", "BLEU")
    assert pair.improved[0].second_score > pair.improved[0].first_score
    assert pair.worsened[0].second_score < pair.worsened[0].first_score
    assert set(found.ngrams) == {"A", "B"}
    content = asdict(found)
    assert json.loads(json.dumps(content, allow_nan=False)) == content
