"""Files read in step, some thousand lines at a time, as bytes: neither decoded nor cut into lines."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from nmt_cli.errors import DataError
from nmt_cli.text import lines as text_lines

_BLOCK = 1 << 18
MOST_BYTES = 1 << 22
"""Bytes of one file in a chunk, after which it ends early."""
_NEWLINE = ord("\n")


@dataclass(frozen=True, slots=True)
class RawChunk:
    """Some neighbouring records, as they stand in the files."""

    first: int
    """Number of the first one, counted from 1."""
    rows: int
    columns: dict[str, bytes]
    """What `corpus.files` names, by its key, or what was found in one file; each is `rows` lines ended by newlines."""
    offsets: dict[str, int] = field(default_factory=dict)
    """Where the columns begin in their files, in bytes."""
    header: bytes | None = None
    """The first line of a table that has names in it."""

    def last(self, rows: int) -> "RawChunk":
        """The same without what stands before the last so many records."""
        begins = {key: _last_lines(content, rows) for key, content in self.columns.items()}
        return RawChunk(
            max(self.first, self.first + self.rows - rows),
            min(self.rows, rows),
            {key: content[begins[key] :] for key, content in self.columns.items()},
            {key: offset + begins[key] for key, offset in self.offsets.items()},
            self.header,
        )

    def followed_by(self, other: "RawChunk") -> "RawChunk":
        """The same, and the records after them."""
        columns = {key: content + other.columns[key] for key, content in self.columns.items()}
        return RawChunk(self.first, self.rows + other.rows, columns, self.offsets, self.header)


def _last_lines(content: bytes, count: int) -> int:
    """Where the last so many lines begin."""
    begin = len(content)
    for _ in range(count):
        if begin:
            begin = content.rfind(b"\n", 0, begin - 1) + 1
    return begin


def read_in_step(
    paths: dict[str, Path], rows: int, check_header: Callable[[bytes], object] | None = None
) -> Iterator[RawChunk]:
    """Chunks of at most so many lines; none goes over a multiple of `rows`.

    With `check_header`, the first line holds no record but names; it is called with them.
    Files of unequal length raise DataError at the end, when the lines of all are counted.
    """
    with ExitStack() as stack:
        files = {
            key: _LineFile(stack.enter_context(text_lines.open_text(path)), str(path)) for key, path in paths.items()
        }
        header = None
        if check_header is not None:
            [file] = files.values()
            header = file.take(file.available(1)).rstrip(b"\r\n")
            check_header(header)
        first = 1
        while True:
            wanted = rows - (first - 1) % rows
            # The others need not look further than the one that has least at hand.
            for file in files.values():
                wanted = min(wanted, file.available(wanted))
            if not wanted:
                break
            offsets = {key: file.offset for key, file in files.items()}
            columns = {key: file.take(wanted) for key, file in files.items()}
            yield RawChunk(first, wanted, columns, offsets, header)
            first += wanted
        _refuse_unequal(paths, {key: first - 1 + file.count_rest() for key, file in files.items()})


def _refuse_unequal(paths: dict[str, Path], lines: dict[str, int]) -> None:
    means = {"target": "be the translation of", "alignment": "link the words of", "score": "be the score of"}
    for key in paths:
        if lines[key] == lines.get("source", lines[key]):
            continue
        raise DataError(
            f"{paths['source']} has {lines['source']:,} lines, but {paths[key]} has {lines[key]:,}; "
            f"line n of {'one' if key == 'target' else 'the second'} must {means.get(key, 'tell the words of')} "
            f"line n of the {'other' if key == 'target' else 'first'}"
        )


class _LineFile:
    """A file from which whole lines are taken."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream, self._name = stream, name
        self._is_at_start, self._ends_in_line = True, False
        self._bytes, self._lines, self._taken = b"", 0, 0
        self._is_at_end = False
        self.offset = 0
        """Of the first byte that was not yet taken."""

    def available(self, rows: int) -> int:
        """How many lines can be taken now: at most so many, and none only at the end."""
        blocks, size = [self._bytes], len(self._bytes)
        while not self._is_at_end and self._lines < rows and (size < MOST_BYTES or not self._lines):
            block = self._next_block()
            blocks.append(block)
            size += len(block)
            self._lines += block.count(b"\n")
            if not self._lines and size > text_lines.MAX_LINE_BYTES + 1:  # its end may be \r
                self._refuse_long(0)
        self._bytes = b"".join(blocks)
        return min(self._lines, rows)

    def take(self, rows: int) -> bytes:
        """So many of the lines that are available; the last one of a file is given a newline if it has none."""
        if not rows:
            return b""
        if rows == self._lines:
            size = self._bytes.rindex(b"\n") + 1
        else:
            newlines = np.flatnonzero(np.frombuffer(self._bytes, np.uint8) == _NEWLINE)
            size = int(newlines[rows - 1]) + 1
        taken, self._bytes = self._bytes[:size], self._bytes[size:]
        if size > text_lines.MAX_LINE_BYTES:
            self._check_lengths(taken)
        self.offset += size
        self._lines -= rows
        self._taken += rows
        return taken

    def count_rest(self) -> int:
        """How many lines there are that were not taken."""
        count = self._lines
        while not self._is_at_end:
            count += self._next_block().count(b"\n")
        return count

    def _next_block(self) -> bytes:
        """Some bytes, without a byte order mark, and with a newline at the end of the file."""
        with text_lines.reading_errors(self._name):
            block = self._stream.read(_BLOCK)
        if self._is_at_start and block.startswith(text_lines.BOM):
            text_lines.warn_about_bom(self._name)
            self.offset = len(text_lines.BOM)
            block = block.removeprefix(text_lines.BOM) or self._stream.read(_BLOCK)
        self._is_at_start = False
        if block:
            self._ends_in_line = not block.endswith(b"\n")
            return block
        self._is_at_end = True
        return b"\n" if self._ends_in_line else b""

    def _check_lengths(self, lines: bytes) -> None:
        for number, line in enumerate(lines.split(b"\n")):
            if len(line.removesuffix(b"\r")) > text_lines.MAX_LINE_BYTES:
                self._refuse_long(number)

    def _refuse_long(self, number: int) -> None:
        raise text_lines.line_too_long_error(self._name, self._taken + number + 1)
