"""Overlap with validation and test sets."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.data.filters.duplicates import HeldOutKeys, HeldOutOverlap
from nmt_cli.data.reading import Examples
from nmt_cli.errors import DataError
from nmt_cli.recipe.filters import OverlapFilter

lines = st.sampled_from(["a", "b", "c", "d", "e"])
pairs_of_lines = st.lists(st.tuples(lines, lines), max_size=6)


@given(held=st.lists(pairs_of_lines, max_size=3), pairs=pairs_of_lines)
@pytest.mark.parametrize("compare", get_args(OverlapFilter.model_fields["compare"].annotation))
def test_overlap_equals_set_membership(
    compare: str, held: list[list[tuple[str, str]]], pairs: list[tuple[str, str]]
) -> None:
    overlap = HeldOutOverlap(
        OverlapFilter(compare=compare), ("en", "de"), HeldOutKeys.of((str(n), some) for n, some in enumerate(held))
    )
    known = {pair for some in held for pair in some}
    sources, targets = {source for source, _ in known}, {target for _, target in known}

    kept = overlap(Examples([source for source, _ in pairs], [target for _, target in pairs]))

    for (source, target), is_kept in zip(pairs, kept, strict=True):
        found = {
            "pair": (source, target) in known,
            "source": source in sources,
            "target": target in targets,
            "either": source in sources or target in targets,
        }
        assert is_kept == (not found[compare])


@pytest.mark.parametrize(("compare", "side", "text"), [("pair", "pair", "Hi"), ("either", "target", "Hallo")])
def test_refused_overlap_names_record_and_set(compare: str, side: str, text: str) -> None:
    held_out = HeldOutKeys.of(
        [("valid/news", [("Bye", "Tschüs")]), ("test/web", [("Hi" if side == "pair" else "x", "Hallo")])]
    )
    overlap = HeldOutOverlap(OverlapFilter(compare=compare, action="refuse"), ("en", "de"), held_out)
    rows = Examples(["One", "Hi"], ["Eins", "Hallo"], corpus="books", records=[1200, 1201])

    with pytest.raises(DataError, match=rf"^data\.train\.books: record 1,201: its {side} .* test/web: '{text}'"):
        overlap(rows)


def test_no_overlap_is_not_refused() -> None:
    overlap = HeldOutOverlap(
        OverlapFilter(action="refuse"), ("en", "de"), HeldOutKeys.of([("valid/news", [("a", "b")])])
    )

    assert overlap(Examples(["a", "b"], ["c", "b"])).all()
