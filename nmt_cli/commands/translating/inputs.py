"""Where lines come from: a file or a part of it, or stdin."""

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
from nmt_cli.commands.translating.shards import Section, section_of
from nmt_cli.errors import RecipeError
from nmt_cli.processes.sharding import ALL_SHARDS, ShardSpec
from nmt_cli.text.lines import open_text


@dataclass(frozen=True)
class Input:
    """A binary stream of lines."""

    stream: IO[bytes]
    name: str
    """In messages."""
    first: int = 1
    """Number of its first line."""
    section: Section | None = None
    """The bytes of a file, as it is on disk, that are read; None of what can be read only once."""

    @property
    def arrives(self) -> bool:
        """Whether lines may be slow to come; a file's are there, and what is translated together is always the same."""
        try:
            return not stat.S_ISREG(os.fstat(self.stream.fileno()).st_mode)
        except OSError:  # bytes in memory, as in tests
            return False


class InvalidLines:
    """Which lines are not UTF-8: the first, and how many."""

    def __init__(self) -> None:
        self.first, self.count = 0, 0

    def note(self, number: int) -> None:
        """There is one more."""
        self.first, self.count = self.first or number, self.count + 1

    def __str__(self) -> str:
        return f"line {self.first}" + (f" and {self.count - 1:,} other lines" if self.count > 1 else "")


@contextmanager
def opened_input(path: Path | None, shard: ShardSpec = ALL_SHARDS) -> Iterator[Input]:
    """A file's lines, or those of stdin (None); of a plain file those that are there now, even if it grows."""
    if path is None:
        if shard != ALL_SHARDS:
            raise RecipeError("--shard needs a file, which can be read at any place; name one with --input")
        yield Input(_stdin(), "stdin")
        return
    with open_text(path) as stream:
        is_plain = isinstance(stream, io.BufferedReader) and isinstance(stream.raw, io.FileIO)
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode) or (shard != ALL_SHARDS and not is_plain):
            if shard != ALL_SHARDS:
                raise RecipeError(f"{path}: --shard needs a plain file, which can be read at any place")
            yield Input(stream, str(path))
            return
        section = section_of(stream, shard)
        yield Input(section.stream() if is_plain else stream, str(path), section.first, section)


def _stdin() -> IO[bytes]:
    """stdin behind another buffer: Python, when it exits, must not wait for a thread that reads it."""
    if sys.stdin is None:
        raise RecipeError("stdin is closed; name a file with --input")
    if sys.stdin.isatty():
        console.info("reading lines from the terminal; Ctrl-D ends them")
    try:
        return io.BufferedReader(io.FileIO(sys.stdin.buffer.fileno(), closefd=False))
    except io.UnsupportedOperation:  # not a file, as in tests
        return sys.stdin.buffer
