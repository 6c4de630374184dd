"""Lines of text: read as bytes, cut at newlines only, decoded as UTF-8."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

from nmt_cli.console import warn
from nmt_cli.errors import DataError
from nmt_cli.text.compression import DecompressionError, unpacked

LONGEST_LINE = 10_000_000
"""Bytes; a longer line is no sentence, most likely not even text."""

BOM = b"\xef\xbb\xbf"
"""The byte order mark, as it may stand before the first line."""


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a file, plain or packed, one after another; DataError names the first that is not UTF-8.

    Only newline ends a line, as for `wc -l`, so that no character inside a sentence can shift the
    lines of one file against those of another. A carriage return before it and a byte order mark
    before the first line are left out.
    """
    with open_text(path) as stream:
        for number, offset, line in _raw_lines(stream, str(path)):
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                raise not_utf8_error(str(path), number, offset, error) from error


def decode_lines(stream: IO[bytes], name: str, replaced: Callable[[int], None], first: int = 1) -> Iterator[str]:
    """The lines of a binary stream, each as soon as it is there; what is not UTF-8 becomes U+FFFD.

    `replaced` is told the number of each line in which that happened; `name` is used in messages. The first line's
    number is another than 1 where the stream begins within a file.
    """
    for number, _, line in _raw_lines(stream, name, first):
        try:
            yield line.decode()
        except UnicodeDecodeError:
            replaced(number)
            yield line.decode(errors="replace")


@contextmanager
def open_text(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes, unpacked if it is packed (gzip, xz, zstd) by its content, whatever its name."""
    with reading_errors(str(path)):
        file = path.open("rb")
    with file:
        with reading_errors(str(path)):
            stream = unpacked(file)
        yield stream


@contextmanager
def reading_errors(name: str) -> Iterator[None]:
    """Tell as a DataError, in one line, why a file or stream of that name cannot be read."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{name}: does not exist") from error
    except IsADirectoryError as error:
        raise DataError(f"{name}: is a directory, not a file") from error
    except DecompressionError as error:
        raise DataError(f"{name}: is {error}; fetch or make it again") from error
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror or error}") from error


def not_utf8_error(name: str, number: int, offset: int, error: UnicodeDecodeError) -> DataError:
    """What is said of a line that is not UTF-8 and begins at that byte of its file."""
    return DataError(
        f"{name}: line {number}: is not UTF-8 at byte {offset + error.start:,} of the file "
        f"(0x{error.object[error.start]:02x}); convert the file, such as with "
        "`iconv -f latin1 -t utf-8`, or correct the line"
    )


def line_too_long_error(name: str, number: int) -> DataError:
    """What is said of a line longer than LONGEST_LINE."""
    return DataError(
        f"{name}: line {number}: is longer than {LONGEST_LINE:,} bytes; is this text with one sentence per line?"
    )


@cache
def warn_about_bom(name: str) -> None:
    """Warn of a file's byte order mark; once, however often the file is read."""
    warn(f"{name}: begins with a byte order mark, which is left out")


def _raw_lines(stream: IO[bytes], name: str, first: int = 1) -> Iterator[tuple[int, int, bytes]]:
    """Number, counted from `first`, offset in bytes, and content of each line."""
    number, offset = first - 1, 0
    while True:
        with reading_errors(name):
            line = stream.readline(LONGEST_LINE + 2)  # its end may take two bytes
        if not line:
            return
        number += 1
        start, offset = offset, offset + len(line)
        content = line.removesuffix(b"\n").removesuffix(b"\r")
        if number == 1 and content.startswith(BOM):
            warn_about_bom(name)
            content, start = content.removeprefix(BOM), start + len(BOM)
        if len(content) > LONGEST_LINE:
            raise line_too_long_error(name, number)
        yield number, start, content
