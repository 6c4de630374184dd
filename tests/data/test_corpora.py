"""Pairs stay pairs, whatever stands in the lines; each is accounted for."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.data.corpora import Tally, read_pairs
from nmt_cli.errors import DataError
from nmt_cli.recipe.data import Corpus
from nmt_cli.text.normalization import NORMALIZATIONS
from nmt_cli.text.pairs import fault

BREAKS = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r"]
PLACES: list[Callable[[str, str], str]] = [
    lambda text, mark: mark + text,
    lambda text, mark: text[:1] + mark + text[1:],
    lambda text, mark: text + mark,
]


def corpus(folder: Path, source: bytes, target: bytes) -> Corpus:
    (folder / "source").write_bytes(source)
    (folder / "target").write_bytes(target)
    return Corpus(source=folder / "source", target=folder / "target")


def pairs_of(read: Corpus, normalization: str = "nfkc") -> tuple[list[tuple[str, str]], Tally]:
    tally = Tally()
    return [(pair.source, pair.target) for pair in read_pairs(read, NORMALIZATIONS[normalization], tally)], tally


@pytest.mark.parametrize("mark", BREAKS)
@pytest.mark.parametrize("place", PLACES, ids=["before", "inside", "after"])
@pytest.mark.parametrize("side", [0, 1])
def test_no_line_break_of_other_programs_shifts_the_pairs(
    tmp_path: Path, mark: str, place: Callable[[str, str], str], side: int
) -> None:
    sides = [[f"{letter}{row}" for row in range(6)] for letter in "st"]
    sides[side][1::2] = [place(line, mark) for line in sides[side][1::2]]
    read = corpus(tmp_path, *("".join(f"{line}\n" for line in lines).encode() for lines in sides))
    pairs, tally = pairs_of(read)
    assert [(s.replace(" ", ""), t.replace(" ", "")) for s, t in pairs] == [(f"s{row}", f"t{row}") for row in range(6)]
    assert tally.read == tally.kept == 6


def test_windows_line_ends_and_a_byte_order_mark_on_one_side_change_nothing(tmp_path: Path) -> None:
    plain, _ = pairs_of(corpus(tmp_path, b"a\nb\n", b"c\nd\n"), "none")
    windows, _ = pairs_of(corpus(tmp_path, b"\xef\xbb\xbfa\r\nb\r\n", b"c\nd\n"), "none")
    assert plain == windows == [("a", "c"), ("b", "d")]


@pytest.mark.parametrize(("lines", "other"), [(5, 3), (3, 5), (1, 0), (100_000, 99_999)])
def test_unequal_files_are_refused_with_both_counts(tmp_path: Path, lines: int, other: int) -> None:
    with pytest.raises(DataError) as caught:
        pairs_of(corpus(tmp_path, b"a\n" * lines, b"b\n" * other))
    assert f"source has {lines:,} lines" in str(caught.value)
    assert f"target has {other:,}" in str(caught.value)


def test_blank_lines_take_their_pair_along_and_are_counted(tmp_path: Path) -> None:
    source = "s1\n\ns3\n \ns5\n\u200b\n".encode()
    target = "t1\nt2\n\xa0\n\x0c\nt5\nt6\n".encode()
    for normalization in ("nfkc", "none"):
        pairs, tally = pairs_of(corpus(tmp_path, source, target), normalization)
        assert pairs == [("s1", "t1"), ("s5", "t5")]
        assert (tally.read, tally.kept, tally.dropped) == (6, 2, {"empty": 4})


def test_a_last_line_without_newline_counts(tmp_path: Path) -> None:
    pairs, _ = pairs_of(corpus(tmp_path, b"a\nb", b"c\nd\n"))
    assert pairs == [("a", "c"), ("b", "d")]


def test_bad_utf8_is_named_by_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"target: line 2: is not UTF-8"):
        pairs_of(corpus(tmp_path, b"a\nb\n", b"c\n\xff\n"))


def test_text_written_by_one_reading_is_the_same_in_the_next(tmp_path: Path) -> None:
    first, _ = pairs_of(corpus(tmp_path, "\ufeff\ufeffa\n".encode(), "\ufeff b\r\r\n".encode()), "none")
    second, _ = pairs_of(corpus(tmp_path, *(f"{line}\n".encode() for line in first[0])), "none")
    assert first == second == [("a", " b ")]


@pytest.mark.parametrize("normalization", ["nfkc", "none"])
def test_any_pairs_keep_their_order_and_company(tmp_path: Path, normalization: str) -> None:
    normalize = NORMALIZATIONS[normalization]
    line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"))

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.tuples(line, line), min_size=1))
    def check(written: list[tuple[str, str]]) -> None:
        sides = ["".join(f"{pair[side]}\r\n" for pair in written).encode("utf-8-sig") for side in (0, 1)]
        pairs, tally = pairs_of(corpus(tmp_path, *sides), normalization)
        normalized = [(normalize(s), normalize(t)) for s, t in written]
        assert pairs == [pair for pair in normalized if not fault(*pair)]
        assert tally.read == len(written) == tally.kept + tally.dropped.total()

    check()
