"""Lines of text: read as bytes, cut at newlines only, decoded as UTF-8."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nmt_cli.console import warn
from nmt_cli.errors import DataError

LONGEST_LINE = 10_000_000
"""Bytes; a longer line is no sentence, most likely not even text."""

_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a plain or gzip file, one after another; DataError names the first that is not UTF-8.

    Only newline ends a line, as for `wc -l`, so that no character inside a sentence can shift the
    lines of one file against those of another. A carriage return before it and a byte order mark
    before the first line are left out.
    """
    with open_text(path) as stream:
        for number, offset, line in _raw_lines(stream, str(path)):
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}: line {number}: is not UTF-8 at byte {offset + error.start:,} of the file "
                    f"(0x{line[error.start]:02x}); convert the file, such as with "
                    "`iconv -f latin1 -t utf-8`, or correct the line"
                ) from error


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
    """Open a file for reading bytes, unpacked if it is gzip by its first two bytes, whatever its name."""
    with _reading_errors(str(path)):
        file = path.open("rb")
    with file:
        with _reading_errors(str(path)):
            packed = file.peek(2)[:2] == _GZIP
        yield io.BufferedReader(gzip.GzipFile(fileobj=file)) if packed else file


def _raw_lines(stream: IO[bytes], name: str, first: int = 1) -> Iterator[tuple[int, int, bytes]]:
    """Number, counted from `first`, offset in bytes, and content of each line."""
    number, offset = first - 1, 0
    while True:
        with _reading_errors(name):
            line = stream.readline(LONGEST_LINE + 2)  # its end may take two bytes
        if not line:
            return
        number += 1
        start, offset = offset, offset + len(line)
        content = line.removesuffix(b"\n").removesuffix(b"\r")
        if number == 1 and content.startswith(_BOM):
            warn(f"{name}: begins with a byte order mark, which is left out")
            content, start = content.removeprefix(_BOM), start + len(_BOM)
        if len(content) > LONGEST_LINE:
            raise DataError(
                f"{name}: line {number}: is longer than {LONGEST_LINE:,} bytes; "
                "is this text with one sentence per line?"
            )
        yield number, start, content


@contextmanager
def _reading_errors(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{name}: does not exist") from error
    except IsADirectoryError as error:
        raise DataError(f"{name}: is a directory, not a file") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name}: is damaged gzip ({error}); fetch or make it again") from error
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror or error}") from error
