"""Write results to stdout, and fail if they would be lost."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from nmt_cli import files
from nmt_cli.errors import ResourceError


def write_result(result: Any) -> None:
    """Write a result to stdout: text as it is, any other value as JSON. Raises ResourceError as `open_stdout` does."""
    with open_stdout() as stream:
        stream.write(result.encode() if isinstance(result, str) else files.json_bytes(result))


@contextmanager
def open_stdout() -> Iterator[IO[bytes]]:
    """Return stdout as a stream of bytes, flushed at the end.

    If the reader has closed its end of a pipe, the program exits silently (exit code 141).

    Raises:
        ResourceError: stdout is closed, or its device is full.
    """
    if sys.stdout is None:
        raise ResourceError("stdout is closed, so the results would be lost; leave it open or redirect it to a file")
    stream = sys.stdout.buffer
    try:
        with files.disk_errors(Path("stdout")):
            yield stream
            stream.flush()
    except ResourceError as error:
        discard_stdout()
        if isinstance(error.__cause__, BrokenPipeError):
            raise SystemExit(128 + signal.SIGPIPE) from None
        raise


def discard_stdout() -> None:
    """Redirect stdout to the null device, so that Python does not report its unwritten buffer at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
