"""Sides that are empty, the same, or no translations of each other are found; good ones are not."""

import random
from collections.abc import Callable

import pytest

from nmt_cli.data.checking.sampling import Pair, Sample
from nmt_cli.data.checking.sides import alignment, empty_sides, identical_sides

Make = Callable[..., list[Pair]]
Look = Callable[..., Sample]


def test_good_pairs_are_left_alone(pairs: Make, look: Look) -> None:
    good = look(pairs(5000))
    assert not empty_sides(good)
    assert not identical_sides(good)
    assert not alignment(good)


def test_a_corpus_of_nothing_is_an_error(look: Look) -> None:
    assert [found.level for found in empty_sides(look([]))] == ["error"]
    assert [found.level for found in empty_sides(look([("a", ""), (" ", "b")]))] == ["error"]


def test_many_empty_sides_are_a_warning(pairs: Make, look: Look) -> None:
    (found,) = empty_sides(look([*pairs(90), *[("a", "")] * 10]))
    assert found.level == "warning"
    assert "10 %" in found.what


def test_text_that_was_not_translated_is_a_warning(pairs: Make, look: Look) -> None:
    copied = [(source, source.upper()) for source, _ in pairs(50)]
    (found,) = identical_sides(look([*pairs(150), *copied]))
    assert "25 %" in found.what


def test_the_same_in_one_language_is_no_mistake(pairs: Make, look: Look) -> None:
    assert not identical_sides(look([(source, source) for source, _ in pairs(200)], ("en", "en-GB")))


def test_equal_numbers_are_no_mistake(look: Look) -> None:
    assert not identical_sides(look([(str(n), str(n)) for n in range(500)]))


def test_a_shuffled_side_is_a_warning(pairs: Make, look: Look) -> None:
    sources, targets = zip(*pairs(5000), strict=True)
    shuffled = random.Random(1).sample(targets, len(targets))
    (found,) = alignment(look(list(zip(sources, shuffled, strict=True))))
    assert found.level == "warning"


@pytest.mark.parametrize("lag", [1, -2])
def test_a_side_that_is_shifted_is_an_error(lag: int, pairs: Make, look: Look) -> None:
    sources, targets = zip(*pairs(5000), strict=True)
    shifted = list(zip(sources, targets[-lag:] + targets[:-lag], strict=True))
    (found,) = alignment(look(shifted))
    assert found.level == "error"
    assert f"line n{lag:+} of the target" in found.what


def test_a_line_lost_in_the_middle_is_found_near_its_place(pairs: Make, look: Look) -> None:
    sources, targets = map(list, zip(*pairs(5000), strict=True))
    del targets[2100]
    (found,) = alignment(look(list(zip(sources, targets, strict=False))))
    assert found.level == "error"
    place = int(found.what.split("about line ")[1].split(" ")[0].replace(",", ""))
    assert abs(place - 2100) <= 400


def test_few_pairs_and_lines_of_one_length_say_nothing(pairs: Make, look: Look) -> None:
    sources, targets = zip(*pairs(300), strict=True)
    assert not alignment(look(list(zip(sources, reversed(targets), strict=True))))
    assert not alignment(look([("same", "dasselbe")] * 1000))
