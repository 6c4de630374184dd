"""The filters of a recipe, in order, on rows cut anyhow."""

import gzip
import pickle
import shlex
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from nmt_cli.data.filters import HeldOut, Rows, build_filters, first_of_each, sift
from nmt_cli.data.filters.assembly import FILTERS
from nmt_cli.recipe.data.filters import DEFAULT_FILTERS, Filter

TATOEBA = Path(__file__).parents[4] / "shared" / "data" / "tatoeba-en-de"
ALL: list[Filter] = TypeAdapter(list[Filter]).validate_python(
    [{"type": kind} for kind in FILTERS if kind not in ("language", "score")] + [{"type": "score", "fewest": 0}]
)
HELD_OUT = HeldOut.of([("valid/a", [("Hello you", "Hallo du"), ("Go!", "Los!")])])
line = st.sampled_from(
    [
        "",
        " ",
        "Hello you",
        "Hallo du",
        "HALLO, du!",
        "Go!",
        "Los!",
        "ha ha ha ha ha",
        "It is 125",
        "Es ist 126",
        "привет",
    ]
) | st.text(st.sampled_from("ab 1漢"), max_size=90)
a_pair = st.tuples(line, line, st.sampled_from(["-1", "0", "2.5"]))


def rows_of(pairs: list[tuple[str, str, str]]) -> Rows:
    sources, targets, scores = map(list, zip(*pairs, strict=True)) if pairs else ([], [], [])
    return Rows(sources, targets, scores, numbers=list(range(1, len(pairs) + 1)))


def test_every_type_of_the_schema_is_made() -> None:
    types = {
        settings["properties"]["type"]["const"] for settings in TypeAdapter(Filter).json_schema()["$defs"].values()
    }

    assert set(FILTERS) == types


def test_each_filter_has_a_name_and_words() -> None:
    filters = build_filters(ALL, ("en", "de"), HELD_OUT)

    assert [judge.name for judge in filters] == ["empty", *(settings.type for settings in ALL)]
    assert all(judge.words and "\n" not in judge.words for judge in filters)


@given(st.lists(a_pair, max_size=20), st.lists(st.integers(0, 20), max_size=4))
@settings(max_examples=50)
def test_verdicts_do_not_depend_on_how_rows_are_cut(pairs: list[tuple[str, str, str]], cuts: list[int]) -> None:
    filters = build_filters(ALL, ("en", "de"), HELD_OUT)
    whole = sift(filters, rows_of(pairs))

    edges = [0, *sorted(min(cut, len(pairs)) for cut in cuts), len(pairs)]
    starts = list(pairwise(edges))
    parts = [sift(filters, rows_of(pairs[start:end])) for start, end in starts]

    places = [start + place for (start, _), part in zip(starts, parts, strict=True) for place in part.places]
    assert places == whole.places.tolist()
    assert [source for part in parts for source in part.rows.sources] == whole.rows.sources
    for number, keys in enumerate(whole.keys):
        assert np.concatenate([part.keys[number] for part in parts]).tolist() == keys.tolist()
    for reason in FILTERS.keys() | {"empty"}:
        found = [
            start + place
            for (start, _), part in zip(starts, parts, strict=True)
            for place in part.dropped.get(reason, [])
        ]
        assert found == whole.dropped.get(reason, np.empty(0)).tolist()


@given(st.lists(a_pair, max_size=20))
def test_every_row_is_kept_or_dropped_for_one_reason(pairs: list[tuple[str, str, str]]) -> None:
    sifted = sift(build_filters(ALL, ("en", "de"), HELD_OUT), rows_of(pairs))

    places = Counter(sifted.places.tolist())
    for some in sifted.dropped.values():
        places.update(some.tolist())
    assert places == Counter(range(len(pairs)))
    assert sifted.rows.numbers == [place + 1 for place in sifted.places]
    assert sifted.rows.scores == [pairs[place][2] for place in sifted.places]


def test_the_first_filter_that_drops_a_pair_is_its_reason() -> None:
    pairs = [("", "x"), ("Go!", "Los!"), ("x" * 3000, "y"), ("same", "Same"), ("fine", "gut")]

    sifted = sift(build_filters(DEFAULT_FILTERS, ("en", "de"), HELD_OUT), Rows(*map(list, zip(*pairs, strict=True))))

    reasons = {"empty": [0], "length": [2], "identical": [3], "overlap": [1]}
    assert {reason: places.tolist() for reason, places in sifted.dropped.items()} == reasons
    assert sifted.places.tolist() == [4]


def test_keys_known_before_are_those_of_the_rows_left() -> None:
    rows = Rows(["a", "b", "c"], ["x", "y", "z"])
    rows.keys("pair")

    left = rows.where(np.array([True, False, True]))

    assert left.keys("pair").tolist() == Rows(["a", "c"], ["x", "z"]).keys("pair").tolist()


def test_filters_can_be_sent_to_another_process() -> None:
    program = f"{shlex.quote(sys.executable)} -c pass"
    asked = TypeAdapter(list[Filter]).validate_python([{"type": "language", "command": program}])
    filters = build_filters([*ALL, *asked], ("en", "de"), HELD_OUT)
    rows = rows_of([("Hello", "Hallo", "1"), ("Go!", "Los!", "1"), ("тест", "test", "0")])

    sent = pickle.loads(pickle.dumps(filters))

    assert sift(sent[:-1], rows).places.tolist() == sift(filters[:-1], rows).places.tolist() == [0]


@pytest.mark.skipif(not TATOEBA.is_dir(), reason="needs the shared Tatoeba corpus")
def test_real_pairs_are_kept_but_for_a_few(tmp_path: Path) -> None:
    sides = [gzip.decompress((TATOEBA / f"train.{code}.gz").read_bytes()).decode() for code in ("en", "de")]
    sources, targets = (side.split("\n")[:20_000] for side in sides)
    cheap = [some for some in ALL if some.type != "score"]

    sifted = sift(
        build_filters(cheap, ("en", "de"), HELD_OUT), Rows([*sources, *sources[:10]], [*targets, *targets[:10]])
    )

    assert len(sifted.places) > 0.99 * len(sources)
    kept = first_of_each([sifted.keys[0]], [np.ones(len(sifted.places), np.bool_)], tmp_path)[0]
    assert len(kept) - kept.sum() >= 10
