"""Reading tab-separated tables."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.data.reading import DropCounts, Examples, OnError, decode, read_chunks, read_pairs
from nmt_cli.errors import DataError
from nmt_cli.recipe.corpora import LearnedTsv

LANGUAGES = ("aa", "bb")


def table(folder: Path, content: bytes, **settings: Any) -> LearnedTsv:
    (folder / "table").write_bytes(content)
    return LearnedTsv.model_validate({"format": "tsv", "file": str(folder / "table"), **settings})


def decoded(read: LearnedTsv, on_error: OnError = "stop", rows: int = 100) -> list[tuple[Examples, DropCounts]]:
    return [decode(read, chunk, on_error) for chunk in read_chunks(read, LANGUAGES, rows)]


def test_first_two_columns_are_the_default(tmp_path: Path) -> None:
    [(found, _)] = decoded(table(tmp_path, b"a\tb\nc\td\tmore\r\n\t\n"))
    assert (found.sources, found.targets, found.records) == (["a", "c", ""], ["b", "d", ""], [1, 2, 3])


def test_columns_by_number(tmp_path: Path) -> None:
    read = table(tmp_path, b"0.5\ta\tb\tN\n", source=3, target=2, score=1, factors={"pos": 4})
    [(found, _)] = decoded(read)
    assert (found.sources, found.targets) == (["b"], ["a"])
    assert found.columns == {"score": ["0.5"], "factors.pos": ["N"]}


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_columns_by_name_in_the_first_line(tmp_path: Path, rows: int) -> None:
    content = b"\xef\xbb\xbfde\tlinks\ten\r\na\t0-0\tb\r\nc\t\td\r\n"
    found = decoded(table(tmp_path, content, source="en", target="de", alignment="links"), rows=rows)
    assert [pair for part, _ in found for pair in zip(part.sources, part.targets, strict=True)] == [
        ("b", "a"),
        ("d", "c"),
    ]
    assert [number for part, _ in found for number in part.records] == [1, 2]
    assert [links for part, _ in found for links in part.columns["alignment"]] == ["0-0", ""]


def test_quotation_marks_are_text(tmp_path: Path) -> None:
    assert list(read_pairs(table(tmp_path, b'"a\t"b"\n'), LANGUAGES)) == [('"a', '"b"')]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"a\tb\n", "line 1: .*'en'.*'a', 'b'"),
        (b"en\ten\n1\t2\n", "line 1: .*two .*'en'"),
        (b"e\xff\n1\t2\n", r"line 1: .*UTF-8.*\b1 "),
        (b"", "''"),
    ],
)
def test_missing_or_duplicate_column_name_is_a_data_error(tmp_path: Path, content: bytes, what: str) -> None:
    with pytest.raises(DataError, match=what):
        decoded(table(tmp_path, content, source="en", target=2))


@pytest.mark.parametrize("names", [False, True])
def test_line_with_too_few_columns_is_named(tmp_path: Path, names: bool) -> None:
    content = b"s\tt\n" * names + b"a\tb\nalone\n"
    read = table(tmp_path, content, **({"source": "s", "target": "t"} if names else {}))
    with pytest.raises(DataError, match=rf"table: line {2 + names}: "):
        decoded(read)


def test_skipped_lines_with_too_few_columns_are_counted(tmp_path: Path) -> None:
    [(found, drops)] = decoded(table(tmp_path, b"a\tb\nalone\n\nc\td\n\xff\tx\n"), "skip")
    assert list(zip(found.records, found.sources, found.targets, strict=True)) == [(1, "a", "b"), (4, "c", "d")]
    assert drops.counts == {"no_record": 2, "not_utf8": 1}
    assert drops.examples["no_record"][0].source == "alone"


def test_only_invalid_lines_give_empty_columns(tmp_path: Path) -> None:
    [(found, _)] = decoded(table(tmp_path, b"alone\n", score=3), "skip")
    assert (found.records, found.sources, found.targets, found.columns) == ([], [], [], {"score": []})


def test_invalid_utf8_below_a_header_is_reported_with_line_and_byte(tmp_path: Path) -> None:
    read = table(tmp_path, b"s\tt\na\tb\nx\t\xff\n", source="s", target="t")
    with pytest.raises(DataError, match=r"line 3: .*UTF-8.*\b10 "):
        decoded(read)


def test_tsv_roundtrip_for_any_chunk_size(tmp_path: Path) -> None:
    cell = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\t\r"), max_size=9)

    @settings(max_examples=150)
    @given(st.lists(st.tuples(cell, cell), min_size=1), st.integers(1, 9))
    def check(written: list[tuple[str, str]], rows: int) -> None:
        content = "t\ts\n" + "".join(f"{target}\t{source}\n" for source, target in written)
        found = decoded(table(tmp_path, content.encode(), source="s", target="t"), rows=rows)
        assert [pair for part, _ in found for pair in zip(part.sources, part.targets, strict=True)] == written

    check()
