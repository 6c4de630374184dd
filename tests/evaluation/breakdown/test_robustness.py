"""Perturbations of test sets, and robustness to them."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nmt_cli.evaluation.breakdown.robustness import PERTURBATIONS, add_typos, measure_robustness
from nmt_cli.evaluation.metrics.metric import EvaluationTexts
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.text.word_boundaries import graphemes

SETTINGS = Evaluation(metrics=["chrf", "ter"], resamples=20)
SOURCES = ["A dog runs.", "Two children play 2 games.", ""]
REFERENCES = ["Ein Hund läuft.", "Zwei Kinder spielen 2 Spiele.", ""]
TEXTS = EvaluationTexts(["Ein Hund rennt.", "Zwei Kinder spielen.", ""], [REFERENCES], SOURCES)
BY_NAME = {each.name: each for each in PERTURBATIONS}
LINE = "Zwei Männer in New York: gehen schnell!"


@pytest.mark.parametrize(
    ("name", "perturbed"),
    [
        ("upper case", "ZWEI MÄNNER IN NEW YORK: GEHEN SCHNELL!"),
        ("title case", "Zwei Männer In New York: Gehen Schnell!"),
        ("no final punctuation", "Zwei Männer in New York: gehen schnell"),
    ],
)
def test_perturb_lines_by_rule(name: str, perturbed: str) -> None:
    assert BY_NAME[name].perturb_lines([LINE]) == [perturbed]


def test_about_one_word_in_ten_has_a_typo() -> None:
    lines = ["words enough for each of them"] * 1000
    perturbed = BY_NAME["typing mistakes"].perturb_lines(lines)
    pairs = [pair for two in zip(lines, perturbed, strict=True) for pair in zip(*map(str.split, two), strict=True)]
    assert 0.07 < sum(one != other for one, other in pairs) / len(pairs) < 0.13


@pytest.mark.parametrize("line", ["लड़का लड़की से मिलता है", "น้ำตกสวยมากในฤดูฝน", "cafe\u0301 na\u0308ive"])
def test_add_typos_moves_marks_with_their_letters(line: str) -> None:
    perturbed = [add_typos(line, random.Random(seed)) for seed in range(200)]
    assert len(set(perturbed)) > 10
    assert {letter for other in perturbed for letter in graphemes(other)} == set(graphemes(line))


@given(some.text(string.ascii_letters + " .,äß", max_size=30), some.integers())
def test_add_typos_changes_length_by_at_most_one_letter_per_word(line: str, seed: int) -> None:
    perturbed = add_typos(line, random.Random(seed))
    assert perturbed.count(" ") == line.count(" ")
    assert all(abs(len(a) - len(b)) <= 1 for a, b in zip(line.split(" "), perturbed.split(" "), strict=True))


def test_perturbation_of_a_line_does_not_depend_on_other_lines() -> None:
    typing = BY_NAME["typing mistakes"]
    lines = [f"{LINE} {index}" for index in range(50)]
    assert typing.perturb_lines(lines) == typing.perturb_lines(lines)
    assert typing.perturb_lines(lines)[:10] == typing.perturb_lines(lines[:10])
    assert typing.perturb_lines(lines) != lines


def test_normalize_texts_ignores_what_the_perturbation_changed() -> None:
    texts = EvaluationTexts(["EIN HUND!"], [["Ein Hund!"]])
    normalized = BY_NAME["upper case"].normalize_texts(texts)
    assert normalized.hypotheses == normalized.references[0] == ["ein hund!"]
    normalized = BY_NAME["no final punctuation"].normalize_texts(EvaluationTexts(["Ein Hund"], [["Ein Hund."]]))
    assert normalized.hypotheses == normalized.references[0] == ["Ein Hund"]
    assert BY_NAME["typing mistakes"].normalize_texts(texts).hypotheses == ["EIN HUND!"]


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
