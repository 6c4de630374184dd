"""Keys of duplicates and near duplicates, and first occurrences of keys."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.data.filters.duplicates import Duplicates, HeldOutKeys, NearDuplicates, canonical, first_occurrences
from nmt_cli.data.reading import Examples
from nmt_cli.recipe.filters import Compare, DuplicatesFilter, NearDuplicatesFilter

NONE = HeldOutKeys.of()
signs = st.sampled_from("aAbBßÄäé ı\u0130.,!0½Ⅻ①ﬁ한語\u0301\u093f\u0915\u3099か")


def slowly(text: str) -> str:
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    letters = [
        sign
        for sign in folded
        if sign.isalpha() or (unicodedata.category(sign) in ("Mn", "Mc", "Me") and not "\u0300" <= sign <= "\u036f")
    ]
    return "".join(letters) or text


@given(st.text(signs) | st.text())
def test_canonical_equals_slow_reference(text: str) -> None:
    assert canonical(text) == slowly(text)


@pytest.mark.parametrize(
    ("one", "other", "are_near"),
    [
        ("Hello, World 1!", "hello world", True),
        ("Café", "cafe\u0301", True),
        ("GRÖSSE", "größe", True),
        ("12", "13", False),
        ("12", "12", True),
        ("cat", "cats", False),
        ("कि", "का", False),
        ("か", "が", False),
    ],
)
def test_near_duplicates_ignore_case_digits_and_punctuation(one: str, other: str, are_near: bool) -> None:
    near = NearDuplicates(NearDuplicatesFilter(compare="source"), ("en", "de"), NONE)
    first, second = near.keys(Examples([one, other], ["x", "y"]))

    assert (first == second) == are_near


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "A", "1"]), st.sampled_from(["a", "b", "ab"])), max_size=12))
@pytest.mark.parametrize("compare", ["pair", "source", "target"])
@pytest.mark.parametrize("kind", ["duplicates", "near_duplicates"])
def test_keys_are_equal_iff_texts_are(kind: str, compare: Compare, pairs: list[tuple[str, str]]) -> None:
    rows = Examples([source for source, _ in pairs], [target for _, target in pairs])
    if kind == "duplicates":
        keys, form = Duplicates(DuplicatesFilter(compare=compare), ("en", "de"), NONE).keys(rows), str
    else:
        keys, form = NearDuplicates(NearDuplicatesFilter(compare=compare), ("en", "de"), NONE).keys(rows), canonical
    select = {"pair": lambda pair: pair, "source": lambda pair: pair[:1], "target": lambda pair: pair[1:]}[compare]
    texts = [tuple(map(form, select(pair))) for pair in pairs]

    assert [[one == other for other in keys] for one in keys] == [[one == other for other in texts] for one in texts]


def test_pair_key_depends_on_the_boundary_of_the_sides() -> None:
    first, second = Examples(["a b", "a"], ["c", "b c"]).keys("pair")

    assert first != second


def test_drop_reason_names_the_compared_side() -> None:
    assert Duplicates(DuplicatesFilter(), ("en", "de"), NONE).name == "duplicates"
    assert NearDuplicates(NearDuplicatesFilter(compare="target"), ("en", "de"), NONE).name == "near_duplicates_target"


def first_by_set(keys: list[np.ndarray], alive: list[np.ndarray]) -> list[list[bool]]:
    seen: set[int] = set()
    kept = []
    for some, living in zip(keys, alive, strict=True):
        kept.append([])
        for key, lives in zip(some.tolist(), living.tolist(), strict=True):
            kept[-1].append(lives and key not in seen)
            if lives:
                seen.add(key)
    return kept


@pytest.mark.parametrize("bucket_keys", [1, 3, 50, 1000, 1 << 21])
@pytest.mark.parametrize("different", [1, 10, 400, 1 << 62])
def test_first_occurrences_equal_those_of_a_set(tmp_path: Path, bucket_keys: int, different: int) -> None:
    draws = np.random.default_rng(different + bucket_keys)
    values = draws.integers(0, 1 << 64, min(different, 1000), np.uint64)
    sizes = [0, 300, 1, 700, 0]
    keys = [draws.choice(values, size) for size in sizes]
    alive = [draws.random(size) < 0.8 for size in sizes]

    kept = first_occurrences(iter(keys), alive, tmp_path, bucket_keys)

    assert [some.tolist() for some in kept] == first_by_set(keys, alive)
    assert list(tmp_path.iterdir()) == []


def test_extreme_keys_have_a_bucket(tmp_path: Path) -> None:
    keys = [np.array([2**64 - 1, 0, 2**64 - 1, 0, 1], np.uint64)]

    kept = first_occurrences(keys, [np.ones(5, np.bool_)], tmp_path, bucket_keys=1)

    assert kept[0].tolist() == [True, True, False, False, True]


def test_keys_may_be_memory_mapped(tmp_path: Path) -> None:
    np.array([7, 8, 7], "<u8").tofile(tmp_path / "keys")
    keys = np.memmap(tmp_path / "keys", "<u8", "r")

    kept = first_occurrences([keys, keys], [np.ones(3, np.bool_)] * 2, tmp_path)

    assert [some.tolist() for some in kept] == [[True, True, False], [False, False, False]]


def test_first_occurrences_of_no_pairs(tmp_path: Path) -> None:
    assert first_occurrences([], [], tmp_path) == []
