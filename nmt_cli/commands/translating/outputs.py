"""Output: a file that appears when it is complete, or stdout, a pipe or a device, which are written to directly."""

import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nmt_cli import files
from nmt_cli.commands.stdout import open_stdout
from nmt_cli.errors import RecipeError


@contextmanager
def open_output(path: Path | None) -> Iterator[IO[bytes]]:
    """Open a file that appears when it is complete, or stdout (None), a pipe or a device."""
    if path is None:
        with open_stdout() as stream:
            yield stream
    elif path.is_relative_to("/dev"):  # such as /dev/stdout, which may be a file that is open already
        with files.disk_errors(path), path.open("wb") as stream:
            yield stream
    else:
        with files.new_file(path) as stream:
            yield stream


def is_regular_output(path: Path) -> bool:
    """Return whether the output will be a regular file, which can be read again."""
    return not path.is_relative_to("/dev") and (path.is_file() or not path.exists())


def write_lines(target: IO[bytes], lines: bytes) -> None:
    """Write lines and flush.

    Lines are written in chunks that a pipe takes atomically: a reader never sees part of a line, however this process
    ends, unless the line is longer than a chunk.
    """
    for chunk in _chunks(lines, select.PIPE_BUF):
        target.write(chunk)
        target.flush()


def check_output(input: Path | None, output: Path | None) -> None:
    """Raise RecipeError if the output is a directory or would overwrite the input."""
    if output is None:
        return
    if output.is_dir():
        raise RecipeError(f"{output}: is a directory; name a file for the translations")
    if input is not None and output.is_file() and input.exists() and output.samefile(input):
        raise RecipeError(f"{output}: is also the input; name another file for the translations")


def _chunks(lines: bytes, max_bytes: int) -> Iterator[bytes]:
    """Yield as many whole lines as fit into `max_bytes`, or a single line that does not."""
    start = 0
    while start < len(lines):
        end = lines.rfind(b"\n", start, start + max_bytes) + 1 or lines.find(b"\n", start) + 1 or len(lines)
        yield lines[start:end]
        start = end
