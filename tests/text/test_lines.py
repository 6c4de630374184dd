"""Lines are read unchanged, or the first invalid one is named."""

import gzip
import io
import os
import threading
from pathlib import Path

import pytest

from nmt_cli.errors import DataError
from nmt_cli.text import lines as lines_module
from nmt_cli.text.lines import decode_lines, read_lines

SEPARATORS = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r"]


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("separator", SEPARATORS)
def test_only_newline_ends_a_line(tmp_path: Path, separator: str) -> None:
    text = f"a{separator}b\n{separator}c\nd{separator}e\n"
    file = written(tmp_path / "text", text.encode())
    assert list(read_lines(file)) == text.split("\n")[:-1]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"\n\n", ["", ""]),
        (b"a", ["a"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\r\r\n", ["a\r"]),
        (b"a\r", ["a"]),
    ],
)
def test_lines_are_counted_as_by_wc(tmp_path: Path, content: bytes, expected: list[str]) -> None:
    assert list(read_lines(written(tmp_path / "text", content))) == expected


def test_byte_order_mark_is_removed_with_one_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path / "text", b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n")
    assert list(read_lines(file)) == ["a", "\ufeffb"]
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 1
    assert str(file) in warnings[0]


@pytest.mark.parametrize(
    ("bad", "offset"),
    [
        (b"gr\xfcn", 5),  # latin-1
        (b"\xe2\x82", 3),  # cut off
        (b"x\xed\xa0\x80", 4),  # a surrogate
        (b"\xc0\xaf", 3),  # overlong
        ("grün".encode("utf-16"), 3),
    ],
)
def test_invalid_utf8_is_reported_with_line_and_byte(tmp_path: Path, bad: bytes, offset: int) -> None:
    file = written(tmp_path / "text", b"ok\n" + bad + b"\nok\n")
    with pytest.raises(DataError, match=rf"text: line 2: .*\b{offset} ") as caught:
        list(read_lines(file))
    assert "\n" not in str(caught.value)


def test_byte_offset_includes_byte_order_mark(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 1: .*\b4 .*0xff"):
        list(read_lines(written(tmp_path / "text", b"\xef\xbb\xbfa\xff\n")))


def test_gzip_is_detected_by_content(tmp_path: Path) -> None:
    compressed = written(tmp_path / "plain-name", gzip.compress(b"a\nb\n"))
    plain = written(tmp_path / "name.gz", b"a\nb\n")
    assert list(read_lines(compressed)) == list(read_lines(plain)) == ["a", "b"]


def test_truncated_gzip_is_detected(tmp_path: Path) -> None:
    compressed = gzip.compress(b"a line of text\n" * 20)
    for length in range(2, len(compressed)):
        with pytest.raises(DataError, match=r"text\.gz: .*gzip"):
            list(read_lines(written(tmp_path / "text.gz", compressed[:length])))


def test_flipped_bit_in_gzip_is_detected(tmp_path: Path) -> None:
    compressed = bytearray(gzip.compress(b"a line of text\n" * 20))
    compressed[-6] ^= 1
    with pytest.raises(DataError, match=r"text\.gz: .*gzip"):
        list(read_lines(written(tmp_path / "text.gz", bytes(compressed))))


def test_missing_file_and_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="/nowhere: "):
        list(read_lines(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=f"^{tmp_path}: "):
        list(read_lines(tmp_path))


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_too_long_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    monkeypatch.setattr(lines_module, "MAX_LINE_BYTES", 10)
    assert list(read_lines(written(tmp_path / "text", b"x" * 10 + end))) == ["x" * 10]
    with pytest.raises(DataError, match=r"line 2: .*\b10 "):
        list(read_lines(written(tmp_path / "text", b"a\n" + b"x" * 11 + end)))


def test_decode_lines_reports_replaced_lines() -> None:
    bad: list[int] = []
    stream = io.BytesIO(b"\xef\xbb\xbfgood\n\xff\n\ngr\xfcn\r\nlast")
    assert list(decode_lines(stream, "stdin", bad.append)) == ["good", "\ufffd", "", "gr\ufffdn", "last"]
    assert bad == [2, 4]


def test_decode_lines_may_start_at_another_number() -> None:
    bad: list[int] = []
    stream = io.BytesIO(b"\xef\xbb\xbfkept\n\xff\n")

    assert list(decode_lines(stream, "x", bad.append, first=7)) == ["\ufeffkept", "\ufffd"]
    assert bad == [8]


def test_decode_lines_does_not_wait_for_the_next_line() -> None:
    readable, writable = os.pipe()
    with os.fdopen(readable, "rb") as stream, os.fdopen(writable, "wb", buffering=0) as pipe:
        alarm = threading.Timer(10, pipe.close)  # a reader that waits for more would hang
        alarm.start()
        lines = decode_lines(stream, "stdin", lambda number: None)
        for line in ("one", "two"):
            pipe.write(f"{line}\n".encode())
            assert next(lines) == line
            assert not pipe.closed
        alarm.cancel()
