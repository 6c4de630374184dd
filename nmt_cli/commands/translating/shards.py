"""A file's lines in consecutive parts of about as many bytes, so that their translations can be joined by `cat`.

A part begins at the first line that starts at or after its share of the bytes, and ends where the next begins: each
line is in exactly one, whoever cuts, without reading what lies between.
"""

import hashlib
import io
import os
from dataclasses import dataclass
from typing import IO

from nmt_cli.processes.sharding import ShardSpec

_PORTION = 2**20


@dataclass(frozen=True)
class Section:
    """Bytes of an open file, from the start of a line to the end of one, and the number of its first line, from 1."""

    file: IO[bytes]
    start: int
    stop: int
    first: int = 1

    def stream(self) -> io.BufferedReader:
        """These bytes alone, behind a buffer."""
        return io.BufferedReader(_SectionReader(self))

    def sha256(self) -> str:
        """Their hash, in hexadecimal."""
        with self.stream() as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def section_of(file: IO[bytes], shard: ShardSpec) -> Section:
    """Where a part lies in a plain file as it is now. Lines before it are counted, which needs them read."""
    size = os.fstat(file.fileno()).st_size
    start = _line_start(file, size * (shard.index - 1) // shard.count, size)
    stop = _line_start(file, size * shard.index // shard.count, size)
    with Section(file, 0, start).stream() as before:
        newlines = sum(portion.count(b"\n") for portion in iter(lambda: before.read(_PORTION), b""))
    return Section(file, start, stop, 1 + newlines)


def _line_start(file: IO[bytes], offset: int, size: int) -> int:
    """The first place, at or after `offset`, where a line starts, or the end."""
    if offset in (0, size):
        return offset
    with Section(file, offset - 1, size).stream() as stream:
        place = offset - 1
        while read := stream.readline(_PORTION):
            place += len(read)
            if read.endswith(b"\n"):
                break
    return place


class _SectionReader(io.RawIOBase):
    """Reads part of a file, without moving anyone else's place in it."""

    def __init__(self, section: Section) -> None:
        self._file, self._place, self._stop = section.file.fileno(), section.start, section.stop

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        read = os.pread(self._file, min(len(buffer), self._stop - self._place), self._place)
        buffer[: len(read)] = read
        self._place += len(read)
        return len(read)
