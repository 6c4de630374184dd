"""Reading tab-separated tables."""

import csv
import subprocess
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
    [(found, _)] = decoded(table(tmp_path, b"a\tb\tmore\nc\td\r\n\t\n"))
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
    assert drops.counts == {"no_record": 1, "blank": 1, "not_utf8": 1}
    assert drops.examples["no_record"][0].source == "alone"


@pytest.mark.parametrize("names", [False, True])
def test_row_with_more_columns_than_the_first_is_named_or_counted(tmp_path: Path, names: bool) -> None:
    content = b"s\tt\n" * names + b"a\tb\nI\tsee\tyou\nc\td\t\t\n"
    read = table(tmp_path, content, **({"source": "s", "target": "t"} if names else {}))
    with pytest.raises(DataError, match=rf"table: line {2 + names}: .*3.*2"):
        decoded(read)
    [(found, drops)] = decoded(read, "skip")
    assert list(zip(found.sources, found.targets, strict=True)) == [("a", "b"), ("c", "d")]
    assert drops.counts == {"no_record": 1}


def test_blank_lines_between_records_are_counted_and_never_stop(tmp_path: Path) -> None:
    [(found, drops)] = decoded(table(tmp_path, b"a\tb\n\n  \r\nc\td\n"))
    assert found.records == [1, 4]
    assert drops.counts == {"blank": 2}


def test_cell_quoted_as_in_csv_is_named_with_a_command_that_works(tmp_path: Path) -> None:
    rows = [["plain", "schlicht"], ['He said "hi"', 'Er sagte "hallo"'], ["two\nlines", "zwei\nZeilen"]]
    with (tmp_path / "table").open("w", newline="") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows(rows)
    read = table(tmp_path, (tmp_path / "table").read_bytes())
    with pytest.raises(DataError, match=r"table: line 2: .*CSV") as caught:
        decoded(read)
    subprocess.run(str(caught.value).split("`")[1], shell=True, check=True)
    [(found, _)] = decoded(table(tmp_path, (tmp_path / "table.tsv").read_bytes()))
    assert found.sources == ["plain", 'He said "hi"', "two lines"]


@pytest.mark.parametrize("cell", ['"', '""', '"a"', '""a""', 'a ""b"" c', '"a" and "b"', '"' * 100_001])
def test_quotation_marks_of_text_are_kept(tmp_path: Path, cell: str) -> None:
    assert list(read_pairs(table(tmp_path, f"{cell}\tb\n".encode()), LANGUAGES)) == [(cell, "b")]


@pytest.mark.parametrize(
    ("first", "warns"),
    [
        ("source\ttarget", True),
        ("AA\tbb", True),
        ("English\tGerman", True),
        ('"a"\t"b"', True),
        ("text\tText und mehr", False),
        ("a\tb", False),
    ],
)
def test_header_that_is_read_as_a_pair_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], first: str, warns: bool
) -> None:
    [(found, _)] = decoded(table(tmp_path, f"{first}\nc\td\n".encode()))
    assert len(found) == 2
    assert ("line 1: " in capsys.readouterr().err) == warns


def test_table_with_carriage_returns_as_line_ends_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"table: .*tr "):
        decoded(table(tmp_path, b"a\tb\rc\td\re\tf\r"))


def test_only_invalid_lines_give_empty_columns(tmp_path: Path) -> None:
    [(found, _)] = decoded(table(tmp_path, b"alone\n", score=3), "skip")
    assert (found.records, found.sources, found.targets, found.columns) == ([], [], [], {"score": []})


def test_invalid_utf8_below_a_header_is_reported_with_line_and_byte(tmp_path: Path) -> None:
    read = table(tmp_path, b"s\tt\na\tb\nx\t\xff\n", source="s", target="t")
    with pytest.raises(DataError, match=r"line 3: .*UTF-8.*\b10 "):
        decoded(read)


def test_tsv_roundtrip_for_any_chunk_size(tmp_path: Path) -> None:
    cell = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\t\r\0"), max_size=9)  # NUL: UTF-16

    @settings(max_examples=150)
    @given(st.lists(st.tuples(cell, cell), min_size=1), st.integers(1, 9))
    def check(written: list[tuple[str, str]], rows: int) -> None:
        content = "t\ts\n" + "".join(f"{target}\t{source}\n" for source, target in written)
        found = decoded(table(tmp_path, content.encode(), source="s", target="t"), rows=rows)
        assert [pair for part, _ in found for pair in zip(part.sources, part.targets, strict=True)] == written

    check()
