"""Input: the lines of a file, of a shard of it, or of stdin.

Shard I of N begins at the first line that starts at or after byte (I-1)/N of the file and ends where the next begins.
Each line is in exactly one shard, and the translations of all shards can be joined with `cat`.
"""

import hashlib
import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from nmt_cli import console
from nmt_cli.console import Reporter
from nmt_cli.errors import RecipeError
from nmt_cli.processes import ALL_SHARDS, ShardSpec
from nmt_cli.text.lines import decode_lines, open_text

_BUFFER_SIZE = 2**20


@dataclass(frozen=True)
class ByteRange:
    """Bytes of an open file from the start of a line to the end of one."""

    file: IO[bytes]
    start: int
    stop: int
    first_line: int = 1
    """1-based number of the first line."""

    def stream(self) -> io.BufferedReader:
        """Return a buffered stream of these bytes only."""
        return io.BufferedReader(_RangeReader(self))

    def sha256(self) -> str:
        """Return the hash of the bytes in hexadecimal."""
        with self.stream() as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class Input:
    """A binary stream of lines."""

    stream: IO[bytes]
    name: str
    """Name in messages."""
    first_line: int = 1
    """1-based number of its first line."""
    byte_range: ByteRange | None = None
    """The bytes of a file on disk that are read; None if they can be read only once."""

    @property
    def is_interactive(self) -> bool:
        """Whether lines may arrive slowly. Those of a file do not, so that it is always split into the same windows."""
        try:
            return not stat.S_ISREG(os.fstat(self.stream.fileno()).st_mode)
        except OSError:  # bytes in memory, as in tests
            return False

    def lines(self, invalid: "InvalidLines") -> Iterator[str]:
        """Decode the lines. Bytes that are not UTF-8 become U+FFFD, and the line is noted as invalid."""
        return decode_lines(self.stream, self.name, invalid.add, self.first_line)


class InvalidLines:
    """The first line that is not UTF-8, and the number of such lines."""

    def __init__(self) -> None:
        self.first, self.count = 0, 0

    def add(self, line: int) -> None:
        """Count one more."""
        self.first, self.count = self.first or line, self.count + 1

    def warnings(self, name: str) -> list[str]:
        """Return a message if there are any; `name` is that of the input."""
        if not self.count:
            return []
        others = f" and {self.count - 1:,} other lines" if self.count > 1 else ""
        return [f"{name}: line {self.first}{others}: not UTF-8; invalid bytes were read as U+FFFD"]


@contextmanager
def open_input(path: Path | None, shard: ShardSpec = ALL_SHARDS, reporter: Reporter = console) -> Iterator[Input]:
    """Open a file, or stdin (None). A plain file is read up to its present end, even if it grows.

    Raises:
        RecipeError: A shard of something other than a plain file is requested, or stdin is closed.
    """
    if path is None:
        if shard != ALL_SHARDS:
            raise RecipeError("--shard needs a file; name one with --input")
        yield Input(_stdin(reporter), "stdin")
        return
    with open_text(path) as stream:
        is_plain = isinstance(stream, io.BufferedReader) and isinstance(stream.raw, io.FileIO)
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode) or (shard != ALL_SHARDS and not is_plain):
            if shard != ALL_SHARDS:
                raise RecipeError(f"{path}: --shard needs a plain, uncompressed file")
            yield Input(stream, str(path))
            return
        byte_range = shard_range(stream, shard)
        yield Input(byte_range.stream() if is_plain else stream, str(path), byte_range.first_line, byte_range)


def shard_range(file: IO[bytes], shard: ShardSpec) -> ByteRange:
    """Return the bytes of a shard of a plain file as it is now. The lines before it are read, to count them."""
    size = os.fstat(file.fileno()).st_size
    start = _line_start(file, size * (shard.index - 1) // shard.count, size)
    stop = _line_start(file, size * shard.index // shard.count, size)
    with ByteRange(file, 0, start).stream() as before:
        newlines = sum(buffer.count(b"\n") for buffer in iter(lambda: before.read(_BUFFER_SIZE), b""))
    return ByteRange(file, start, stop, 1 + newlines)


def _line_start(file: IO[bytes], offset: int, size: int) -> int:
    """Return the first offset at or after `offset` where a line starts, or the size."""
    if offset in (0, size):
        return offset
    with ByteRange(file, offset - 1, size).stream() as stream:
        position = offset - 1
        while read := stream.readline(_BUFFER_SIZE):
            position += len(read)
            if read.endswith(b"\n"):
                break
    return position


class _RangeReader(io.RawIOBase):
    """Reads part of a file without moving its position."""

    def __init__(self, byte_range: ByteRange) -> None:
        self._file, self._position, self._stop = byte_range.file.fileno(), byte_range.start, byte_range.stop

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        read = os.pread(self._file, min(len(buffer), self._stop - self._position), self._position)
        buffer[: len(read)] = read
        self._position += len(read)
        return len(read)


def _stdin(reporter: Reporter) -> IO[bytes]:
    """Return stdin with a buffer of its own, so that Python does not wait at exit for a thread that reads it."""
    if sys.stdin is None:
        raise RecipeError("stdin is closed; name a file with --input")
    if sys.stdin.isatty():
        reporter.info("reading lines from the terminal; end with Ctrl-D")
    try:
        return io.BufferedReader(io.FileIO(sys.stdin.buffer.fileno(), closefd=False))
    except io.UnsupportedOperation:  # not a file, as in tests
        return sys.stdin.buffer
