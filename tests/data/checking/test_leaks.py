"""Held-out pairs in the training text are told, as far as the recipe does nothing against them."""

from collections.abc import Callable

import pytest

from nmt_cli.data.checking.finding import Finding
from nmt_cli.data.checking.leaks import HeldOut
from nmt_cli.data.checking.sampling import Pair
from nmt_cli.recipe.data.filters import Filter, OverlapFilter

Make = Callable[..., list[Pair]]


def found(train: list[Pair], test: list[Pair], *filters: Filter) -> list[Finding]:
    held_out = HeldOut({"data.test.news": test})
    assert list(held_out.watch("data.train.web", train)) == train
    return held_out.findings(filters)


def test_sets_kept_apart_are_left_alone(pairs: Make) -> None:
    both = pairs(300)
    assert not found(both[:200], both[200:])


def test_a_leak_that_no_filter_stops_is_a_warning(pairs: Make) -> None:
    both = pairs(300)
    (leak,) = found(both[:220], both[200:])
    assert leak.level == "warning"
    assert "20 % of the pairs (20)" in leak.what


def test_spaces_hide_no_leak(pairs: Make) -> None:
    ((source, target),) = pairs(1)
    (leak,) = found([(f" {source}", target.replace(" ", "  "))], [(source, target)])
    assert leak.level == "warning"


def test_a_leak_that_is_removed_is_a_fact(pairs: Make) -> None:
    both = pairs(300)
    facts = found(both[:205], both[200:], OverlapFilter(compare="either"))
    assert [(leak.level, leak.what) for leak in facts] == [("fact", "5 training pairs are in a validation or test set")]


def test_a_leak_that_preprocessing_will_refuse_is_an_error(pairs: Make) -> None:
    both = pairs(300)
    assert [leak.level for leak in found(both[:201], both[200:], OverlapFilter(action="refuse"))] == ["error"]


@pytest.mark.parametrize(("by", "is_told"), [("pair", True), ("source", False), ("target", True), ("either", False)])
def test_known_sources_with_other_translations_are_told_unless_removed(by: str, is_told: bool, pairs: Make) -> None:
    both = pairs(300)
    retold = [(source, f"{target}!") for source, target in both[200:250]]
    told = found([*both[:200], *retold], both[200:], OverlapFilter.model_validate({"compare": by}))
    assert bool(told) == is_told
    assert all("50 % of the sources (50)" in leak.what for leak in told)


def test_every_reference_counts(pairs: Make) -> None:
    ((source, target),) = pairs(1)
    assert found([(source, target)], [(source, "another"), (source, target)])
