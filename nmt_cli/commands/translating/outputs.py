"""Where translations go: a file that appears when it is complete, or stdout, a pipe or a device as they come."""

import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nmt_cli import files
from nmt_cli.commands.results import stdout
from nmt_cli.errors import RecipeError


@contextmanager
def opened_output(path: Path | None) -> Iterator[IO[bytes]]:
    """A file that appears when it is complete; stdout (None), pipes and devices are written through."""
    if path is None:
        with stdout() as stream:
            yield stream
    elif path.is_relative_to("/dev"):  # such as /dev/stdout, behind which may be a file that is open already
        with files.disk_errors(path), path.open("wb") as stream:
            yield stream
    else:
        with files.new_file(path) as stream:
            yield stream


def becomes_file(path: Path) -> bool:
    """Whether what is written under this name stays, and is all that there is."""
    return not path.is_relative_to("/dev") and (path.is_file() or not path.exists())


def write_lines(target: IO[bytes], lines: bytes) -> None:
    """Write lines, and have them leave this process.

    They go in portions that a pipe takes whole or not at all: a reader never sees a part of a line, however this
    process ends, unless the line is longer than such a portion.
    """
    for portion in _portions(lines, select.PIPE_BUF):
        target.write(portion)
        target.flush()


def refuse_to_overwrite(input: Path | None, output: Path | None) -> None:
    """Refuse, before any work, what would destroy the input."""
    if output is None:
        return
    if output.is_dir():
        raise RecipeError(f"{output}: is a directory; name a file for the translations")
    if input is not None and output.is_file() and input.exists() and output.samefile(input):
        raise RecipeError(f"{output}: is the input too; name another file for the translations")


def _portions(lines: bytes, most: int) -> Iterator[bytes]:
    """Whole lines, as many as fit into `most` bytes, or one that does not."""
    start = 0
    while start < len(lines):
        end = lines.rfind(b"\n", start, start + most) + 1 or lines.find(b"\n", start) + 1 or len(lines)
        yield lines[start:end]
        start = end
