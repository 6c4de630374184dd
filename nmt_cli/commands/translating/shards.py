"""A file's lines in consecutive parts of about as many bytes, so that their translations can be joined by `cat`.

A part begins at the first line that starts at or after its share of the bytes, and ends where the next begins: each
line is in exactly one, whoever cuts, without reading what lies between.
"""

import io
import os
import re
from dataclasses import dataclass
from typing import IO, Self

from nmt_cli.errors import RecipeError

_PORTION = 2**20


@dataclass(frozen=True)
class Shard:
    """Part `number`, counted from 1, of `count`."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2/8`."""
        found = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
        shard = cls(*map(int, found.groups())) if found else None
        if shard is None or not 1 <= shard.number <= shard.count:
            raise RecipeError(f"--shard {text}: is not a part; give i/n with i from 1 to n, as 2/8")
        return shard

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


ALL = Shard(1, 1)


@dataclass(frozen=True)
class Section:
    """Bytes of a file, from the start of a line to the end of one, and the number of its first line, from 1."""

    start: int
    stop: int
    first: int

    def stream(self, file: IO[bytes]) -> IO[bytes]:
        """These bytes alone, with a buffer of their own."""
        return io.BufferedReader(_SectionReader(file.fileno(), self.start, self.stop))


def section_of(file: IO[bytes], shard: Shard) -> Section:
    """Where a part lies in a plain file as it is now. Lines before it are counted, which needs them read."""
    size = os.fstat(file.fileno()).st_size
    start = _line_start(file, size * (shard.number - 1) // shard.count, size)
    stop = _line_start(file, size * shard.number // shard.count, size)
    file.seek(0)
    return Section(start, stop, 1 + _newlines(file, start))


def _line_start(file: IO[bytes], offset: int, size: int) -> int:
    """The first place, at or after `offset`, where a line starts, or the end."""
    if offset in (0, size):
        return offset
    file.seek(offset - 1)
    while (read := file.readline(_PORTION)) and not read.endswith(b"\n"):
        pass
    return min(file.tell(), size)


def _newlines(file: IO[bytes], stop: int) -> int:
    """How many lie before `stop`."""
    found = 0
    while stop > 0 and (read := file.read(min(stop, _PORTION))):
        found += read.count(b"\n")
        stop -= len(read)
    return found


class _SectionReader(io.RawIOBase):
    """Reads a file from one place to another, without moving anyone else's place in it."""

    def __init__(self, descriptor: int, start: int, stop: int) -> None:
        self._descriptor, self._place, self._stop = descriptor, start, stop

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        wanted = min(len(buffer), self._stop - self._place)
        read = os.pread(self._descriptor, wanted, self._place)
        buffer[: len(read)] = read
        self._place += len(read)
        return len(read)
