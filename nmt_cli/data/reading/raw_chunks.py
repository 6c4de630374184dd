"""Line files read in lockstep, some thousand lines at a time, as undecoded bytes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from nmt_cli.errors import DataError
from nmt_cli.text import lines as text_lines

_BLOCK = 1 << 18
MAX_CHUNK_BYTES = 1 << 22
"""Maximum bytes of one file in a chunk, except for its last line; the chunk then ends early."""
_NEWLINE = ord("\n")


@dataclass(frozen=True, slots=True)
class RawChunk:
    """Consecutive records of a corpus, undecoded."""

    first: int
    """1-based number of the first record."""
    num_records: int
    columns: dict[str, bytes]
    """By key of `corpus.files`, or of `tmx.read_chunks`: `num_records` lines with a newline at the end of each."""
    offsets: dict[str, int] = field(default_factory=dict)
    """Byte offset of each column in its file."""
    first_row: bytes | None = None
    """The first line of a table, which may hold column names."""
    context: "RawChunk | None" = None
    """The preceding records, if they are needed as document context."""

    def tail(self, num_records: int) -> "RawChunk":
        """Return at most `num_records` records from the end of the chunk, without context."""
        starts = {key: _tail_offset(content, num_records) for key, content in self.columns.items()}
        return RawChunk(
            max(self.first, self.first + self.num_records - num_records),
            min(self.num_records, num_records),
            {key: content[starts[key] :] for key, content in self.columns.items()},
            {key: offset + starts[key] for key, offset in self.offsets.items()},
            self.first_row,
        )

    def followed_by(self, other: "RawChunk") -> "RawChunk":
        """Return these records and those of the next chunk, without context."""
        columns = {key: content + other.columns[key] for key, content in self.columns.items()}
        return RawChunk(self.first, self.num_records + other.num_records, columns, self.offsets, self.first_row)


def decoded_lines(column: bytes) -> list[str]:
    """Return the lines of a column without line ends. UnicodeDecodeError if one is not UTF-8."""
    text = column.decode()
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    lines.pop()
    return lines


def raw_lines(column: bytes) -> list[bytes]:
    """Return the undecoded lines of a column without line ends."""
    return [line.removesuffix(b"\r") for line in column.split(b"\n")[:-1]]


def raw_offset(column: bytes, row: int) -> int:
    """Return the byte offset of a row in a column."""
    return sum(len(line) + 1 for line in column.split(b"\n", row)[:row])


def _tail_offset(content: bytes, num_lines: int) -> int:
    """Return the byte offset of the last `num_lines` lines."""
    start = len(content)
    for _ in range(num_lines):
        if start:
            start = content.rfind(b"\n", 0, start - 1) + 1
    return start


def read_in_lockstep(
    paths: dict[str, Path],
    max_lines: int,
    check_first_row: Callable[[bytes], object] | None = None,
    has_header: bool = False,
) -> Iterator[RawChunk]:
    """Yield line n of all files together, in chunks that never cross a multiple of `max_lines`.

    Args:
        check_first_row: Called with the first line of a table; None if the file is not a table.
        has_header: The first line of the table is not a record.

    Raises:
        DataError: The files have unequal numbers of lines. Raised at the end, once all lines are counted.
    """
    with ExitStack() as stack:
        files = {
            key: _LineFile(stack.enter_context(text_lines.open_text(path)), str(path)) for key, path in paths.items()
        }
        first_row = None
        if check_first_row is not None:
            [file] = files.values()
            first_row = file.first_line().rstrip(b"\r\n")
            check_first_row(first_row)
            if has_header:
                file.take(file.available(1))
        first = 1
        while True:
            count = max_lines - (first - 1) % max_lines
            # No file needs to read ahead of the one with the fewest buffered lines.
            for file in files.values():
                count = min(count, file.available(count))
            if not count:
                break
            offsets = {key: file.offset for key, file in files.items()}
            columns = {key: file.take(count) for key, file in files.items()}
            yield RawChunk(first, count, columns, offsets, first_row)
            first += count
        _check_equal_lengths(paths, {key: first - 1 + file.count_rest() for key, file in files.items()})


def _check_equal_lengths(paths: dict[str, Path], num_lines: dict[str, int]) -> None:
    relations = {"target": "the translation", "alignment": "the word alignment", "score": "the score"}
    for key in paths:
        if num_lines[key] != num_lines.get("source", num_lines[key]):
            raise DataError(
                f"{paths['source']} has {num_lines['source']:,} lines, but {paths[key]} has {num_lines[key]:,}; "
                f"line n of the second file must be {relations.get(key, 'the factor')} of line n of the first"
            )


class _LineFile:
    """A buffered file from which whole lines are taken."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream, self._name = stream, name
        self._is_at_start, self._lacks_newline = True, False
        self._buffer, self._num_buffered, self._num_taken = b"", 0, 0
        self._is_at_end = False
        self.offset = 0
        """Offset in bytes of the first line that has not been taken."""

    def available(self, max_lines: int) -> int:
        """Return the number of lines that can be taken, at most `max_lines`; 0 only at the end of the file."""
        blocks, size = [self._buffer], len(self._buffer)
        while (
            not self._is_at_end
            and self._num_buffered < max_lines
            and (size < MAX_CHUNK_BYTES or not self._num_buffered)
        ):
            block = self._next_block()
            blocks.append(block)
            size += len(block)
            self._num_buffered += block.count(b"\n")
            if not self._num_buffered and size > text_lines.MAX_LINE_BYTES + 1:  # its end may be \r
                raise self._too_long_error(0)
        self._buffer = b"".join(blocks)
        return min(self._num_buffered, max_lines)

    def take(self, num_lines: int) -> bytes:
        """Return available lines. The last line of a file is given a newline if it has none."""
        if not num_lines:
            return b""
        if num_lines == self._num_buffered:
            size = self._buffer.rindex(b"\n") + 1
        else:
            newlines = np.flatnonzero(np.frombuffer(self._buffer, np.uint8) == _NEWLINE)
            size = int(newlines[num_lines - 1]) + 1
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        if size > text_lines.MAX_LINE_BYTES:
            self._check_lengths(taken)
        self.offset += size
        self._num_buffered -= num_lines
        self._num_taken += num_lines
        return taken

    def first_line(self) -> bytes:
        """Return the next line without taking it."""
        return self._buffer[: self._buffer.index(b"\n")] if self.available(1) else b""

    def count_rest(self) -> int:
        """Return the number of lines that have not been taken."""
        count = self._num_buffered
        while not self._is_at_end:
            count += self._next_block().count(b"\n")
        return count

    def _next_block(self) -> bytes:
        """Read a block, without a byte order mark and with a newline at the end of the file."""
        with text_lines.reading_errors(self._name):
            block = self._stream.read(_BLOCK)
            if self._is_at_start and block.startswith(text_lines.BOM):
                text_lines.warn_about_bom(self._name)
                self.offset = len(text_lines.BOM)
                block = block.removeprefix(text_lines.BOM) or self._stream.read(_BLOCK)
        self._is_at_start = False
        if block:
            self._lacks_newline = not block.endswith(b"\n")
            return block
        self._is_at_end = True
        return b"\n" if self._lacks_newline else b""

    def _check_lengths(self, lines: bytes) -> None:
        for index, line in enumerate(lines.split(b"\n")):
            if len(line.removesuffix(b"\r")) > text_lines.MAX_LINE_BYTES:
                raise self._too_long_error(index)

    def _too_long_error(self, index: int) -> DataError:
        return text_lines.line_too_long_error(self._name, self._num_taken + index + 1)
