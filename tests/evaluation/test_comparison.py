"""Several systems on one test set."""

import json
import random
from dataclasses import asdict
from statistics import fmean, stdev

import pytest

from nmt_cli.evaluation.comparison import CommonSet, System, compare
from nmt_cli.evaluation.metrics import score
from nmt_cli.evaluation.trust.paired import PairedTest
from nmt_cli.recipe.evaluation import Evaluation

SETTINGS = Evaluation(metrics=["bleu", "ter"], resamples=50)
TEST = PairedTest("randomisation", 200, 1)
WORDS = ["der", "Hund", "läuft", "über", "das", "grüne", "Gras"]


def corrupted(lines: list[str], right: float, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(w if chance.random() < right else chance.choice(WORDS) for w in line.split()) for line in lines]


@pytest.fixture(scope="module")
def references() -> list[str]:
    chance = random.Random(1)
    return [" ".join(chance.choices(WORDS, k=chance.randrange(3, 12))) for _ in range(80)]


def test_each_system_is_held_against_the_first(references: list[str]) -> None:
    systems = [System(str(right), ("run",), (corrupted(references, right, 3),)) for right in (0.5, 0.51, 0.95, 0.1)]
    found = compare(systems, CommonSet("test", [references]), SETTINGS, TEST)
    told = {(result.second, result.metric): result.second_is_better for result in found.results}
    assert told == {
        ("0.51", "bleu"): None,
        ("0.51", "ter"): None,
        ("0.95", "bleu"): True,
        ("0.95", "ter"): True,
        ("0.1", "bleu"): False,
        ("0.1", "ter"): False,
    }


def test_verdicts_are_sentences(references: list[str]) -> None:
    shares = {"A": 0.5, "B": 0.95, "C": 0.51}
    systems = [System(name, ("run",), (corrupted(references, right, 3),)) for name, right in shares.items()]
    found = compare(systems, CommonSet("test", [references]), SETTINGS, TEST)
    assert found.results[0].verdict == "BLEU: B is better than A (p = 0.005)"
    assert found.results[1].verdict == "TER: B is better than A (p = 0.005)"
    assert found.results[2].verdict.startswith(
        "BLEU: no difference between A and C can be shown with 80 sentences (p = 0."
    )
    swapped = compare([systems[1], systems[0]], CommonSet("test", [references]), SETTINGS, TEST)
    assert swapped.results[0].verdict == "BLEU: B is better than A (p = 0.005)"


def test_seeds_of_a_system_have_a_mean_and_a_spread(references: list[str]) -> None:
    outputs = tuple(corrupted(references, 0.8, seed) for seed in range(3))
    systems = [System("A (3 seeds)", ("a1", "a2", "a3"), outputs), System("B", ("b",), (references,))]
    found = compare(systems, CommonSet("test", [references]), SETTINGS, TEST)
    values = [score(each, [references], SETTINGS)[0].value for each in outputs]
    [seeds, *_] = found.systems
    assert seeds.seeds == pytest.approx(dict(zip(("a1", "a2", "a3"), values, strict=True)))
    assert (seeds.value, seeds.spread) == (pytest.approx(fmean(values)), pytest.approx(stdev(values)))
    assert found.systems[2].spread is None
    assert found.results[0].second_is_better


def test_slices_lines_and_phrases_are_told_of_all(references: list[str]) -> None:
    systems = [System(name, ("run",), (corrupted(references, 0.7, seed),)) for name, seed in (("A", 1), ("B", 2))]
    common = CommonSet("test", [references], references, ["x", "y"] * 40, {"Hund": 7})
    found = compare(systems, common, SETTINGS, TEST)
    tags = {part.name: part for part in found.slices if part.kind == "tag"}
    assert {(name, part.sentences, *part.scores["bleu"]) for name, part in tags.items()} == {
        ("x", 40, "A", "B"),
        ("y", 40, "A", "B"),
    }
    [pair] = found.pairs
    assert (pair.first, pair.second, pair.lines_by) == ("A", "B", "BLEU")
    assert pair.gained[0].second_score > pair.gained[0].first_score
    assert pair.lost[0].second_score < pair.lost[0].first_score
    assert set(found.ngrams) == {"A", "B"}
    told = asdict(found)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
