"""Reading line files in lockstep."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.data.reading import DropCounts, Examples, RawChunk, decode, raw_chunks, read_chunks, read_pairs
from nmt_cli.errors import DataError
from nmt_cli.recipe.corpora import LearnedLines, LinesCorpus
from nmt_cli.text import lines as text_lines

LANGUAGES = ("aa", "bb")
BREAKS = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r"]
PLACES: list[Callable[[str, str], str]] = [
    lambda text, mark: mark + text,
    lambda text, mark: text[:1] + mark + text[1:],
    lambda text, mark: text + mark,
]


def corpus(folder: Path, source: bytes, target: bytes, **more: bytes) -> LearnedLines:
    files = {"source": source, "target": target} | more
    for key, content in files.items():
        (folder / key).write_bytes(content)
    return LearnedLines.model_validate({key: str(folder / key) for key in files})


def joined(lines: Iterable[str], end: str = "\n") -> bytes:
    return "".join(f"{line}{end}" for line in lines).encode()


def pairs_of(read: LinesCorpus) -> list[tuple[str, str]]:
    return list(read_pairs(read, LANGUAGES))


def decoded(read: LinesCorpus, rows: int) -> list[tuple[Examples, DropCounts]]:
    return [decode(read, chunk, "skip") for chunk in read_chunks(read, LANGUAGES, rows)]


@pytest.mark.parametrize("mark", BREAKS)
@pytest.mark.parametrize("place", PLACES, ids=["before", "inside", "after"])
@pytest.mark.parametrize("side", [0, 1])
def test_unicode_line_breaks_do_not_end_a_line(
    tmp_path: Path, mark: str, place: Callable[[str, str], str], side: int
) -> None:
    sides = [[f"{letter}{row}" for row in range(6)] for letter in "st"]
    sides[side][1::2] = [place(line, mark) for line in sides[side][1::2]]

    found = pairs_of(corpus(tmp_path, joined(sides[0]), joined(sides[1])))

    is_end = mark == "\r" and place is PLACES[2]
    expected = [[line.removesuffix("\r") for line in lines] if is_end else lines for lines in sides]
    assert found == list(zip(*expected, strict=True))


@pytest.mark.parametrize("cases", [150, pytest.param(1000, marks=pytest.mark.slow)])
def test_lines_roundtrip_for_any_chunk_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cases: int) -> None:
    line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\0"), max_size=12)
    sizes = st.integers(1, 40)

    @settings(max_examples=cases)
    @given(st.lists(st.tuples(line, line), min_size=1), sizes, sizes, sizes, st.sampled_from(["\n", "\r\n"]))
    def check(written: list[tuple[str, str]], rows: int, block: int, most: int, end: str) -> None:
        monkeypatch.setattr(raw_chunks, "_BLOCK", block)
        monkeypatch.setattr(raw_chunks, "MAX_CHUNK_BYTES", most)
        written = [("s", "t"), *written]  # a byte order mark further on is no longer one of the file
        sides = [joined((pair[side] for pair in written), end) for side in (0, 1)]

        found = decoded(corpus(tmp_path, *sides), rows)

        kept = [(s.removesuffix("\r"), t.removesuffix("\r")) if end == "\n" else (s, t) for s, t in written]
        assert [pair for part, _ in found for pair in zip(part.sources, part.targets, strict=True)] == kept
        assert [number for part, _ in found for number in part.records] == list(range(1, len(written) + 1))

    check()


@pytest.mark.parametrize("rows", [1, 3, 7, 1000])
def test_chunks_never_cross_a_multiple_of_max_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(raw_chunks, "_BLOCK", 10)
    monkeypatch.setattr(raw_chunks, "MAX_CHUNK_BYTES", 20)
    lines = ["x" * (number % 13) for number in range(100)]

    chunks = list(read_chunks(corpus(tmp_path, joined(lines), joined(lines)), LANGUAGES, rows))

    assert sum(chunk.num_records for chunk in chunks) == 100
    assert all((chunk.first - 1) // rows == (chunk.first + chunk.num_records - 2) // rows for chunk in chunks)
    assert all(column.count(b"\n") == chunk.num_records for chunk in chunks for column in chunk.columns.values())


def test_chunk_of_long_lines_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_chunks, "_BLOCK", 100)
    monkeypatch.setattr(raw_chunks, "MAX_CHUNK_BYTES", 500)
    lines = ["x" * 99] * 50

    chunks = list(read_chunks(corpus(tmp_path, joined(lines), joined(lines)), LANGUAGES, 1000))

    assert {chunk.num_records for chunk in chunks} == {5}


def test_crlf_and_bom_are_ignored(tmp_path: Path) -> None:
    plain = pairs_of(corpus(tmp_path, b"a\nb\n", b"c\nd\n"))
    windows = pairs_of(corpus(tmp_path, b"\xef\xbb\xbfa\r\nb\r\n", b"c\nd\n"))
    assert plain == windows == [("a", "c"), ("b", "d")]


def test_file_of_only_a_bom_is_empty(tmp_path: Path) -> None:
    assert pairs_of(corpus(tmp_path, b"\xef\xbb\xbf", b"")) == []


def test_last_line_without_newline_is_read(tmp_path: Path) -> None:
    assert pairs_of(corpus(tmp_path, b"a\nb", b"c\nd\n")) == [("a", "c"), ("b", "d")]


@pytest.mark.parametrize(("lines", "other"), [(5, 3), (3, 5), (1, 0), (0, 1), (100_000, 99_999), (1000, 500_000)])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_files_of_unequal_length_are_a_data_error(tmp_path: Path, lines: int, other: int, end: bytes) -> None:
    source, target = ((b"a\n" * number).removesuffix(b"\n") + end * (number > 0) for number in (lines, other))
    with pytest.raises(DataError) as caught:
        pairs_of(corpus(tmp_path, source, target))
    assert re.search(rf"source .*\b{lines:,}\b.*target .*\b{other:,}\b", str(caught.value))


@pytest.mark.parametrize("key", ["alignment", "score"])
def test_column_file_of_other_length_is_a_data_error(tmp_path: Path, key: str) -> None:
    with pytest.raises(DataError, match=rf"source .*2.*{key} .*3"):
        pairs_of(corpus(tmp_path, b"a\nb\n", b"c\nd\n", **{key: b"1\n2\n3\n"}))


def test_alignments_scores_and_factors_are_columns(tmp_path: Path) -> None:
    plain = corpus(tmp_path, b"a\nb\n", b"c\nd\n", alignment=b"0-0\n\n", score=b"1\n0.5\n")
    (tmp_path / "tags").write_bytes(b"N\nV\r\n")
    read = plain.model_copy(update={"factors": {"pos": tmp_path / "tags"}})

    [(records, _)] = decoded(read, 10)

    assert records.columns == {"alignment": ["0-0", ""], "score": ["1", "0.5"], "factors.pos": ["N", "V"]}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("rows", [1, 2, 10])
def test_invalid_utf8_is_reported_with_file_line_and_byte(tmp_path: Path, mark: bytes, rows: int) -> None:
    read = corpus(tmp_path, b"a\nb\nc\n", mark + "ä\r\nb\nx".encode() + b"\xff\n")
    with pytest.raises(DataError, match=rf"target: line 3: .*\b{7 + len(mark)}\b.*0xff") as caught:
        [decode(read, chunk, "stop") for chunk in read_chunks(read, LANGUAGES, rows)]
    with pytest.raises(DataError) as oracle:
        list(text_lines.read_lines(tmp_path / "target"))
    assert str(caught.value) == str(oracle.value)


def test_skipped_invalid_utf8_drops_the_pair(tmp_path: Path) -> None:
    lines = [b"\xff\xff" if number % 3 == 0 else b"x%d" % number for number in range(30)]
    read = corpus(tmp_path, b"\n".join(lines), b"".join(b"y%d\n" % number for number in range(30)))

    found = decoded(read, 7)

    assert [pair for part, _ in found for pair in zip(part.sources, part.targets, strict=True)] == [
        (f"x{number}", f"y{number}") for number in range(30) if number % 3
    ]
    assert [n for part, _ in found for n in part.records] == [number + 1 for number in range(30) if number % 3]
    assert sum(part.counts["not_utf8"] for _, part in found) == 10
    assert found[0][1].examples["not_utf8"][1].record == 4
    assert found[0][1].examples["not_utf8"][1].source == "\ufffd\ufffd"
    assert found[0][1].examples["not_utf8"][1].target == "y3"


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize("block", [1, 4, 1000])
def test_line_longer_than_the_limit_is_a_data_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes, block: int
) -> None:
    monkeypatch.setattr(text_lines, "MAX_LINE_BYTES", 10)
    monkeypatch.setattr(raw_chunks, "_BLOCK", block)
    assert pairs_of(corpus(tmp_path, b"x" * 10 + end, b"y\n")) == [("x" * 10, "y")]
    with pytest.raises(DataError, match=r"source: line 2: .*\b10\b"):
        pairs_of(corpus(tmp_path, b"a\n" + b"x" * 11 + end, b"y\ny\n"))


def test_raw_chunk_contains_undecoded_bytes(tmp_path: Path) -> None:
    [chunk] = read_chunks(corpus(tmp_path, b"a\r\n\xff", b"c\nd\n"), LANGUAGES, 5)
    assert chunk == RawChunk(1, 2, {"source": b"a\r\n\xff\n", "target": b"c\nd\n"}, {"source": 0, "target": 0})


@given(st.lists(st.binary(max_size=5).map(lambda line: line.replace(b"\n", b"")), max_size=12), st.data())
def test_tail_of_concatenated_chunks_equals_tail_of_the_whole(lines: list[bytes], data: st.DataObject) -> None:
    def chunk(first: int, some: list[bytes]) -> RawChunk:
        content, offset = b"".join(line + b"\n" for line in some), sum(map(len, lines[:first])) + first
        return RawChunk(
            first + 1, len(some), {"source": content, "target": content}, {"source": offset, "target": offset}
        )

    cut, count = data.draw(st.integers(0, len(lines))), data.draw(st.integers(1, 5))
    found = chunk(0, lines[:cut]).followed_by(chunk(cut, lines[cut:])).tail(count)
    assert found == chunk(max(0, len(lines) - count), lines[-count:])
