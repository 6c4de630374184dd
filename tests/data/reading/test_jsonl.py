"""Reading JSON Lines."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.data.reading import DropCounts, Examples, OnError, decode, read_chunks, read_pairs
from nmt_cli.errors import DataError
from nmt_cli.recipe.corpora import LearnedJsonl

LANGUAGES = ("aa", "bb")
GOOD = '{"source": "a", "target": "b"}'


def objects(folder: Path, content: bytes | str, **settings: Any) -> LearnedJsonl:
    (folder / "objects").write_bytes(content.encode() if isinstance(content, str) else content)
    return LearnedJsonl.model_validate({"format": "jsonl", "file": str(folder / "objects"), **settings})


def decoded(read: LearnedJsonl, on_error: OnError = "stop", rows: int = 100) -> list[tuple[Examples, DropCounts]]:
    return [decode(read, chunk, on_error) for chunk in read_chunks(read, LANGUAGES, rows)]


def test_jsonl_source_and_target_are_fields(tmp_path: Path) -> None:
    assert list(read_pairs(objects(tmp_path, f'{GOOD}\r\n{{"target": "d", "x": 1, "source": "c"}}'), LANGUAGES)) == [
        ("a", "b"),
        ("c", "d"),
    ]


def test_dotted_field_is_read_from_nested_object(tmp_path: Path) -> None:
    line = '{"translation": {"en": "a", "more": {"de": "b"}}, "quality": {"score": 0.25}, "pos": "N"}\n'
    read = objects(
        tmp_path,
        line,
        source="translation.en",
        target="translation.more.de",
        score="quality.score",
        factors={"pos": "pos"},
    )
    [(found, _)] = decoded(read)
    assert (found.sources, found.targets) == (["a"], ["b"])
    assert found.columns == {"score": ["0.25"], "factors.pos": ["N"]}


@pytest.mark.parametrize("name", ["a.b", "a.b.c", "x.a.b", "x.a.b.y"])
def test_key_that_contains_dots_is_a_field(tmp_path: Path, name: str) -> None:
    record: Any = "found"
    for key in reversed({"x.a.b": ["x", "a.b"], "x.a.b.y": ["x", "a.b", "y"]}.get(name, [name])):
        record = {key: record}
    read = objects(tmp_path, json.dumps({"target": "b", **record}), source=name)
    assert list(read_pairs(read, LANGUAGES)) == [("found", "b")]


def test_blank_lines_between_objects_are_counted_and_never_stop(tmp_path: Path) -> None:
    [(found, drops)] = decoded(objects(tmp_path, f"{GOOD}\n\n \n{GOOD}\n"))
    assert found.records == [1, 4]
    assert drops.counts == {"blank": 2}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "jq"),
        ("[", "jq"),
        ('{"source": "a"', "JSON"),
        ("[" * 100_000, "jq"),
        ("1" * 5000, "JSON"),
        ('["a", "b"]', "JSON array.*jq"),
        ('{"source": "a"}', "'target'"),
        ('{"source": "a", "target": null}', "'target'"),
        ('{"source": "a", "target": 7}', "'target'"),
        ('{"source": ["a"], "target": "b"}', "'source'"),
        ('{"source": "a", "target": "\\ud800"}', "'target' .*surrogate"),
    ],
)
def test_invalid_json_record_is_named_or_counted(tmp_path: Path, line: str, what: str) -> None:
    read = objects(tmp_path, f"{GOOD}\n{line}\n{GOOD}\n")

    with pytest.raises(DataError, match=f"objects: line 2: .*{what}") as caught:
        decoded(read)
    [(found, drops)] = decoded(read, "skip")

    assert "\n" not in str(caught.value)
    assert found.records == [1, 3]
    assert drops.counts == {"no_record": 1}
    assert drops.examples["no_record"][0].record == 2


@pytest.mark.parametrize(
    ("score", "is_one"),
    [("1", True), ("-0.5e3", True), ('"0.7"', True), ("true", False), ("NaN", False), (f"1{'0' * 400}", False)],
)
def test_json_score_is_a_number_or_a_string(tmp_path: Path, score: str, is_one: bool) -> None:
    read = objects(tmp_path, f'{{"source": "a", "target": "b", "score": {score}}}\n', score="score")
    [(found, _)] = decoded(read, "skip")
    assert [float(one) for one in found.columns["score"]] == ([float(json.loads(score))] if is_one else [])


def test_invalid_utf8_in_jsonl_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2: .*\b33\b"):
        decoded(objects(tmp_path, f"{GOOD}\nx".encode() + b"x\xff\n"))


def test_jsonl_roundtrip_for_any_chunk_size(tmp_path: Path) -> None:
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)

    @settings(max_examples=100)
    @given(st.lists(st.tuples(text, text), min_size=1), st.booleans(), st.integers(1, 9))
    def check(written: list[tuple[str, str]], in_ascii: bool, rows: int) -> None:
        lines = [json.dumps({"source": s, "target": t}, ensure_ascii=in_ascii) for s, t in written]
        found = decoded(objects(tmp_path, "".join(f"{line}\n" for line in lines)), rows=rows)
        assert [pair for part, _ in found for pair in zip(part.sources, part.targets, strict=True)] == written

    check()
