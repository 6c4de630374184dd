"""Of each key the first living row is kept, however many parts, pieces and arrays there are."""

from pathlib import Path

import numpy as np
import pytest

from nmt_cli.data.filters import first_of_each


def slowly(keys: list[np.ndarray], alive: list[np.ndarray]) -> list[list[bool]]:
    seen: set[int] = set()
    kept = []
    for some, living in zip(keys, alive, strict=True):
        kept.append([])
        for key, lives in zip(some.tolist(), living.tolist(), strict=True):
            kept[-1].append(lives and key not in seen)
            if lives:
                seen.add(key)
    return kept


@pytest.mark.parametrize("keys_of_part", [1, 3, 50, 1000, 1 << 21])
@pytest.mark.parametrize("different", [1, 10, 400, 1 << 62])
def test_it_finds_what_a_set_finds(tmp_path: Path, keys_of_part: int, different: int) -> None:
    draws = np.random.default_rng(different + keys_of_part)
    values = draws.integers(0, 1 << 64, min(different, 1000), np.uint64)
    sizes = [0, 300, 1, 700, 0]
    keys = [draws.choice(values, size) for size in sizes]
    alive = [draws.random(size) < 0.8 for size in sizes]

    kept = first_of_each(iter(keys), alive, tmp_path, keys_of_part)

    assert [some.tolist() for some in kept] == slowly(keys, alive)
    assert list(tmp_path.iterdir()) == []


def test_the_highest_and_lowest_keys_have_their_part(tmp_path: Path) -> None:
    keys = [np.array([2**64 - 1, 0, 2**64 - 1, 0, 1], np.uint64)]

    kept = first_of_each(keys, [np.ones(5, np.bool_)], tmp_path, keys_of_part=1)

    assert kept[0].tolist() == [True, True, False, False, True]


def test_keys_may_lie_on_disk(tmp_path: Path) -> None:
    np.array([7, 8, 7], "<u8").tofile(tmp_path / "keys")
    keys = np.memmap(tmp_path / "keys", "<u8", "r")

    kept = first_of_each([keys, keys], [np.ones(3, np.bool_)] * 2, tmp_path)

    assert [some.tolist() for some in kept] == [[True, True, False], [False, False, False]]


def test_no_rows_are_no_trouble(tmp_path: Path) -> None:
    assert first_of_each([], [], tmp_path) == []
