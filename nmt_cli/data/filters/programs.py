"""Programs of the user's that get lines and say a line for each."""

import os
import signal
import subprocess
from collections.abc import Sequence

from nmt_cli.errors import DataError, ResourceError

_MOST_TOLD = 300
"""Characters of a failed program's last line."""


def answers(where: str, command: str, lines: Sequence[str]) -> list[str]:
    """What a shell command says of each line; DataError, in one line that names `where`, if that is not to be had."""
    if not lines:
        return []
    printed = _printed(where, command, "".join(f"{line}\n" for line in lines).encode())
    try:
        told = printed.decode()
    except UnicodeDecodeError as error:
        number = printed.count(b"\n", 0, error.start) + 1
        raise DataError(f"{where}: line {number:,} that `{command}` printed is not UTF-8") from error
    said = told.removesuffix("\n").split("\n") if told else []
    if len(said) != len(lines):
        raise DataError(
            f"{where}: `{command}` printed {len(said):,} lines for {len(lines):,}; it must print one for each"
        )
    return said


def _printed(where: str, command: str, given: bytes) -> bytes:
    """Everything that a command prints; it is given and asked at the same time, so that neither side waits."""
    try:
        process = subprocess.Popen(
            command,
            shell=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that what it starts in turn ends with it
        )
    except OSError as error:
        raise ResourceError(f"{where}: `{command}` cannot be started: {error.strerror or error}") from error
    with process:
        try:
            printed, told = process.communicate(given)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        complaint = told.decode(errors="replace").strip().split("\n")[-1][-_MOST_TOLD:]
        code = process.returncode
        how = f"failed with exit code {code}" if code > 0 else f"was ended by signal {-code}"
        raise DataError(f"{where}: `{command}` {how}{f': {complaint}' if complaint else ''}")
    return printed
