"""Workers for tests of processes, which must be importable where they work. Some words are orders."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from nmt_cli import console
from nmt_cli.errors import DataError
from nmt_cli.processes import report


class OddError(Exception):
    """Cannot be sent: it is made again from its message alone."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(f"{message} {number}")


@dataclass(frozen=True)
class Shouting:
    """Says its word louder, unless it is told to do something else."""

    def __call__(self) -> Callable[[str], str | bytes]:
        console.warn("here we shout")
        return _answer


def _answer(word: str) -> str | bytes:
    match word:
        case "slow":
            time.sleep(0.3)
        case "very slow":
            time.sleep(1000)
        case "fail":
            raise DataError("line 7 is wrong")
        case "crash":
            raise ValueError("unforeseen")
        case "odd":
            raise OddError("unforeseen", 7)
        case "exit":
            os._exit(9)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "large":
            return bytes(5_000_000)
        case "print":
            os.write(1, b"noise of a library\n")
        case "warn":
            console.warn("an odd word")
    report(len(word))
    return word.upper()


def unopenable() -> Callable[[str], str]:
    """A worker that cannot begin."""
    raise DataError("there is no model")
