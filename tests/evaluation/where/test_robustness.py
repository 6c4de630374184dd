"""Disturbed test sets."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nmt_cli.evaluation.metrics.contract import Texts
from nmt_cli.evaluation.where.robustness import DISTURBANCES, type_badly

BY_NAME = {each.name: each for each in DISTURBANCES}
LINE = "Zwei Männer in New York: gehen schnell!"


@pytest.mark.parametrize(
    ("name", "disturbed"),
    [
        ("upper case", "ZWEI MÄNNER IN NEW YORK: GEHEN SCHNELL!"),
        ("title case", "Zwei Männer In New York: Gehen Schnell!"),
        ("no final punctuation", "Zwei Männer in New York: gehen schnell"),
    ],
)
def test_lines_are_disturbed_by_rule(name: str, disturbed: str) -> None:
    assert BY_NAME[name].sources([LINE]) == [disturbed]


def test_about_one_word_in_ten_is_mistyped() -> None:
    lines = ["words enough for each of them"] * 1000
    disturbed = BY_NAME["typing mistakes"].sources(lines)
    pairs = [pair for two in zip(lines, disturbed, strict=True) for pair in zip(*map(str.split, two), strict=True)]
    assert 0.07 < sum(one != other for one, other in pairs) / len(pairs) < 0.13


@given(some.text(max_size=30), some.integers())
def test_typing_badly_moves_few_letters_and_breaks_no_word(line: str, seed: int) -> None:
    disturbed = type_badly(line, random.Random(seed))
    assert disturbed.count(" ") == line.count(" ")
    assert all(abs(len(a) - len(b)) <= 1 for a, b in zip(line.split(" "), disturbed.split(" "), strict=True))


def test_a_line_is_disturbed_in_the_same_way_wherever_others_stand() -> None:
    typing = BY_NAME["typing mistakes"]
    lines = [f"{LINE} {number}" for number in range(50)]
    assert typing.sources(lines) == typing.sources(lines)
    assert typing.sources(lines)[:10] == typing.sources(lines[:10])
    assert typing.sources(lines) != lines


def test_a_model_is_not_punished_for_following_its_source() -> None:
    texts = Texts(["EIN HUND!"], [["Ein Hund!"]])
    judged = BY_NAME["upper case"].judge(texts)
    assert judged.hypotheses == judged.references[0] == ["ein hund!"]
    judged = BY_NAME["no final punctuation"].judge(Texts(["Ein Hund"], [["Ein Hund."]]))
    assert judged.hypotheses == judged.references[0] == ["Ein Hund"]
    assert BY_NAME["typing mistakes"].judge(texts).hypotheses == ["EIN HUND!"]
