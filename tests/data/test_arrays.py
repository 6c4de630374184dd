"""Evenly spaced indices and items."""

import pytest

from nmt_cli.data.arrays import evenly_spaced, evenly_spaced_indices


def test_evenly_spaced_indices_includes_first_and_last() -> None:
    assert evenly_spaced_indices(1000, 5) == [0, 249, 499, 749, 999]
    assert evenly_spaced_indices(3, 10) == [0, 1, 2]
    assert evenly_spaced_indices(7, 1) == [0]
    assert evenly_spaced_indices(7, 0) == []


@pytest.mark.parametrize(("count", "wanted"), [(10, 9), (11, 10), (2, 2), (1014, 10)])
def test_evenly_spaced_indices_has_no_duplicates(count: int, wanted: int) -> None:
    assert len(set(evenly_spaced_indices(count, wanted))) == wanted


def test_evenly_spaced_returns_items() -> None:
    lines = list(map(str, range(10)))
    assert evenly_spaced(lines, 20) == lines
    assert evenly_spaced(lines, 5) == ["0", "2", "4", "6", "9"]
    assert evenly_spaced([], 5) == []
