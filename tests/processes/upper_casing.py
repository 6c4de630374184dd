"""Worker functions for the tests, importable in the workers. Some words trigger failures."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from nmt_cli import console
from nmt_cli.errors import DataError
from nmt_cli.processes.worker import report_progress


class UnpicklableError(Exception):
    """Cannot be unpickled, as that would pass only the message to the constructor."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(f"{message} {number}")


@dataclass(frozen=True)
class UpperCasing:
    """Creates a function that converts words to upper case, unless a word is an instruction."""

    def __call__(self) -> Callable[[str], str | bytes]:
        console.warn("worker started")
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
            raise ValueError("unexpected")
        case "odd":
            raise UnpicklableError("unexpected", 7)
        case "exit":
            os._exit(9)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "large":
            return bytes(5_000_000)
        case "print":
            os.write(1, b"output of a library\n")
        case "warn":
            console.warn("a strange word")
    report_progress(len(word))
    return word.upper()


def failing_factory() -> Callable[[str], str]:
    """Fail to start."""
    raise DataError("no model")
