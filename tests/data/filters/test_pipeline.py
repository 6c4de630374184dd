"""The filters of a recipe, in order, independent of chunks."""

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

from nmt_cli.data.filters.duplicates import HeldOutKeys, first_occurrences
from nmt_cli.data.filters.pipeline import FILTERS, FilterPipeline, build_filters
from nmt_cli.data.reading import Examples
from nmt_cli.recipe.filters import DEFAULT_FILTERS, Filter

TATOEBA = Path(__file__).parents[4] / "shared" / "data" / "tatoeba-en-de"
ALL: list[Filter] = TypeAdapter(list[Filter]).validate_python(
    [{"type": kind} for kind in FILTERS if kind not in ("language", "score")] + [{"type": "score", "min": 0}]
)
HELD_OUT = HeldOutKeys.of([("valid/a", [("Hello you", "Hallo du"), ("Go!", "Los!")])])
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


def rows_of(pairs: list[tuple[str, str, str]]) -> Examples:
    sources, targets, scores = map(list, zip(*pairs, strict=True)) if pairs else ([], [], [])
    return Examples(sources, targets, list(range(1, len(pairs) + 1)), {"score": scores})


def test_every_filter_type_of_the_schema_has_a_class() -> None:
    types = {
        settings["properties"]["type"]["const"] for settings in TypeAdapter(Filter).json_schema()["$defs"].values()
    }

    assert set(FILTERS) == types


def test_filters_see_normalized_examples() -> None:
    identical = TypeAdapter(list[Filter]).validate_python([{"type": "identical"}])
    pipeline = FilterPipeline(identical, ("en", "de"), HELD_OUT, "nfkc")

    result = pipeline.apply(Examples(["Ａｂｃ", "ﬁne"], ["Abc", "gut"], [1, 2]))

    assert result.dropped["identical"].tolist() == [0]
    assert result.kept.sources == ["fine"]


def test_each_filter_has_a_name_and_a_description() -> None:
    filters = build_filters(ALL, ("en", "de"), HELD_OUT)

    assert [judge.name for judge in filters] == ["empty", *(settings.type for settings in ALL)]
    assert all(judge.description and "\n" not in judge.description for judge in filters)


@given(st.lists(a_pair, max_size=20), st.lists(st.integers(0, 20), max_size=4))
@settings(max_examples=50)
def test_filters_are_independent_of_chunk_boundaries(pairs: list[tuple[str, str, str]], cuts: list[int]) -> None:
    pipeline = FilterPipeline(ALL, ("en", "de"), HELD_OUT)
    whole = pipeline.apply(rows_of(pairs))

    edges = [0, *sorted(min(cut, len(pairs)) for cut in cuts), len(pairs)]
    starts = list(pairwise(edges))
    parts = [pipeline.apply(rows_of(pairs[start:end])) for start, end in starts]

    places = [start + place for (start, _), part in zip(starts, parts, strict=True) for place in part.indices]
    assert places == whole.indices.tolist()
    assert [source for part in parts for source in part.kept.sources] == whole.kept.sources
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
def test_every_pair_is_kept_or_dropped_for_one_reason(pairs: list[tuple[str, str, str]]) -> None:
    result = FilterPipeline(ALL, ("en", "de"), HELD_OUT).apply(rows_of(pairs))

    places = Counter(result.indices.tolist())
    for some in result.dropped.values():
        places.update(some.tolist())
    assert places == Counter(range(len(pairs)))
    assert result.kept.records == [place + 1 for place in result.indices]
    assert result.kept.columns["score"] == [pairs[place][2] for place in result.indices]


def test_first_filter_that_drops_a_pair_is_the_reason() -> None:
    pairs = [("", "x"), ("Go!", "Los!"), ("x" * 3000, "y"), ("same", "Same"), ("fine", "gut")]

    result = FilterPipeline(DEFAULT_FILTERS, ("en", "de"), HELD_OUT).apply(rows_of([(*pair, "1") for pair in pairs]))

    reasons = {"empty": [0], "length": [2], "identical": [3], "overlap": [1]}
    assert {reason: places.tolist() for reason, places in result.dropped.items()} == reasons
    assert result.indices.tolist() == [4]


def test_select_keeps_computed_keys() -> None:
    rows = rows_of([("a", "x", ""), ("b", "y", ""), ("c", "z", "")])
    rows.keys("pair")

    left = rows.select(np.array([True, False, True]))

    assert left.keys("pair").tolist() == Examples(["a", "c"], ["x", "z"]).keys("pair").tolist()


def test_pipeline_can_be_pickled() -> None:
    program = f"{shlex.quote(sys.executable)} -c pass"
    asked = TypeAdapter(list[Filter]).validate_python([{"type": "language", "command": program}])
    pipeline = FilterPipeline(ALL, ("en", "de"), HELD_OUT)
    rows = rows_of([("Hello", "Hallo", "1"), ("Go!", "Los!", "1"), ("тест", "test", "0")])

    sent = pickle.loads(pickle.dumps(pipeline))
    pickle.dumps(FilterPipeline(asked, ("en", "de"), HELD_OUT))

    assert sent.apply(rows).indices.tolist() == pipeline.apply(rows).indices.tolist() == [0]


@pytest.mark.skipif(not TATOEBA.is_dir(), reason="needs the shared Tatoeba corpus")
def test_most_real_pairs_are_kept(tmp_path: Path) -> None:
    sides = [gzip.decompress((TATOEBA / f"train.{code}.gz").read_bytes()).decode() for code in ("en", "de")]
    sources, targets = (side.split("\n")[:20_000] for side in sides)
    cheap = [some for some in ALL if some.type != "score"]

    result = FilterPipeline(cheap, ("en", "de"), HELD_OUT).apply(
        rows_of([(*pair, "1") for pair in zip([*sources, *sources[:10]], [*targets, *targets[:10]], strict=True)])
    )

    assert len(result.indices) > 0.99 * len(sources)
    kept = first_occurrences([result.keys[0]], [np.ones(len(result.indices), np.bool_)], tmp_path)[0]
    assert len(kept) - kept.sum() >= 10
