"""Read lines of text as bytes, split at newlines only, and decode them as UTF-8."""

import errno
import io
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

from nmt_cli.console import warn
from nmt_cli.errors import DataError
from nmt_cli.text.compression import DecompressionError, decompressed
from nmt_cli.text.signatures import HEAD_BYTES, check_is_text

MAX_LINE_BYTES = 10_000_000
"""A longer line is not a sentence and most likely not text."""

BOM = b"\xef\xbb\xbf"
"""Byte order mark, which may precede the first line."""

_ESCAPED_CATEGORIES = {"Cc", "Cf", "Zl", "Zp", "Cs"}
_JOINERS = "\u200c\u200d"  # part of words and of emoji


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file, which may be compressed.

    Only newline ends a line, as for `wc -l`, so that no character within a sentence can misalign two files. A carriage
    return before it and a byte order mark before the first line are removed.

    Raises:
        DataError: A line is not UTF-8 or too long.
    """
    with open_text(path) as stream:
        for number, offset, line in _raw_lines(stream, str(path)):
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                raise not_utf8_error(str(path), number, offset, error) from error


def decode_lines(stream: IO[bytes], name: str, on_replaced: Callable[[int], None], first: int = 1) -> Iterator[str]:
    """Yield the lines of a binary stream, each as soon as it is available; invalid UTF-8 becomes U+FFFD.

    Args:
        name: Name of the stream in messages.
        on_replaced: Called with the number of each line with invalid UTF-8.
        first: Number of the first line, for a stream that begins within a file.

    Raises:
        DataError: The stream cannot be read, or begins like an archive, a document or text in another encoding.
    """
    for number, _, line in _raw_lines(stream, name, first):
        try:
            yield line.decode()
        except UnicodeDecodeError:
            on_replaced(number)
            yield line.decode(errors="replace")


def require_utf8(text: str, where: str, problem: str = "an unpaired surrogate (\\ud800 to \\udfff)") -> str:
    """Return text that can be written in UTF-8. DataError if it cannot; its message begins with `where`."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: contains {problem}") from error
    return text


def utf8_name(text: str) -> str:
    """Return a file name or argument as text that JSON can contain: bytes that are not UTF-8 become escapes."""
    return text.encode(errors="backslashreplace").decode()


def argument_text(text: str, name: str) -> str:
    """Return the text of a command-line argument. DataError if its bytes were not UTF-8."""
    return require_utf8(text, name, "bytes that are not UTF-8")


@contextmanager
def open_text(path: Path, *, accepts_xml: bool = False) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes. Compression (gzip, bzip2, xz, zstd) is detected by content, not by name.

    Args:
        accepts_xml: The file is XML, in any encoding that it declares.

    Raises:
        DataError: The file cannot be read, or is an archive, a document or text in another encoding.
    """
    with reading_errors(str(path)):
        file = path.open("rb")
    with file:
        with reading_errors(str(path)):
            stream = decompressed(file)
            head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
        check_is_text(head, str(path), accepts_xml=accepts_xml)
        yield stream


@contextmanager
def reading_errors(name: str) -> Iterator[None]:
    """Raise DataError if a file or stream cannot be read; `name` is used in the message."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{name}: does not exist") from error
    except IsADirectoryError as error:
        raise DataError(f"{name}: is a directory, not a file") from error
    except DecompressionError as error:
        raise DataError(f"{name}: is {error}; download or create it again") from error
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise  # too many open files are not a fault of this one
        raise DataError(f"{name}: cannot be read: {error.strerror or error}") from error


def not_utf8_error(name: str, number: int, offset: int, error: UnicodeDecodeError) -> DataError:
    """Return the error for a line that is not UTF-8 and begins at byte `offset` of the file."""
    return DataError(
        f"{name}: line {number}: is not UTF-8 at byte {offset + error.start:,} of the file "
        f"(0x{error.object[error.start]:02x}); convert the file, such as with "
        "`iconv -f latin1 -t utf-8`, or correct the line"
    )


def line_too_long_error(name: str, number: int) -> DataError:
    """Return the error for a line longer than MAX_LINE_BYTES."""
    return DataError(
        f"{name}: line {number}: is longer than {MAX_LINE_BYTES:,} bytes; check that the file has one sentence per line"
    )


@cache
def warn_about_bom(name: str) -> None:
    """Warn about the byte order mark of a file, once per file."""
    warn(f"{name}: begins with a byte order mark, which is ignored")


def _raw_lines(stream: IO[bytes], name: str, first: int = 1) -> Iterator[tuple[int, int, bytes]]:
    """Yield number, offset in bytes and content of each line."""
    number, offset = first - 1, 0
    if number == 0 and isinstance(stream, io.BufferedReader):
        with reading_errors(name):
            head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
        check_is_text(head, name)
    while True:
        with reading_errors(name):
            line = stream.readline(MAX_LINE_BYTES + 2)  # two bytes for the line end
        if not line:
            return
        number += 1
        start, offset = offset, offset + len(line)
        content = line.removesuffix(b"\n").removesuffix(b"\r")
        if number == 1 and content.startswith(BOM):
            warn_about_bom(name)
            content, start = content.removeprefix(BOM), start + len(BOM)
        if len(content) > MAX_LINE_BYTES:
            raise line_too_long_error(name, number)
        yield number, start, content


def escape_invisible(value: str) -> str:
    """Replace control and formatting characters by escapes such as \\x1b or \\u2028."""
    return "".join(_escape_character(character) for character in value)


def _escape_character(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _ESCAPED_CATEGORIES:
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
