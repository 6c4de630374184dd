"""Results go to stdout, and it is told when they do not arrive there."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nmt_cli import files
from nmt_cli.errors import ResourceError


@contextmanager
def stdout() -> Iterator[IO[bytes]]:
    """stdout in bytes, flushed at the end; ResourceError if it is closed or full.

    If its reader has gone, which is no mistake, the program ends without a word (exit code 141).
    """
    if sys.stdout is None:
        raise ResourceError("stdout is closed, so the results would be lost; leave it open, or send them to a file")
    stream = sys.stdout.buffer
    try:
        with files.disk_errors(Path("stdout")):
            yield stream
            stream.flush()
    except ResourceError as error:
        _drop_what_is_left()
        if isinstance(error.__cause__, BrokenPipeError):
            raise SystemExit(128 + signal.SIGPIPE) from None
        raise


def _drop_what_is_left() -> None:
    """Let what stdout still holds go nowhere, or Python would complain of it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
