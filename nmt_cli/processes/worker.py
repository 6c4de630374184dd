"""The main function of a worker process and the messages that it sends."""

import multiprocessing
import os
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from nmt_cli import console
from nmt_cli.console import OnProgress
from nmt_cli.errors import NmtError
from nmt_cli.processes.import_path import restore_import_path


@dataclass(frozen=True)
class Success:
    """Sent when a worker is ready (without a result), and for each completed item."""

    result: Any = None


@dataclass(frozen=True)
class Failure:
    """Sent instead of `Success` after an exception."""

    error: Exception


@dataclass(frozen=True)
class ProgressReport:
    """A number for the progress callback of the parent process."""

    amount: int


@dataclass(frozen=True)
class LogLine:
    """A line for stderr of the parent process."""

    line: str


Outcome = Success | Failure
Message = Outcome | ProgressReport | LogLine

_on_progress: OnProgress = lambda amount: None  # noqa: E731


def report_progress(amount: int) -> None:
    """In a worker: call `on_progress` of the parent process. Without effect in other processes."""
    _on_progress(amount)


def run_worker(
    factory: Callable[[], Callable[[Any], Any]], connection: "Connection[Message, Any]", quiet: bool
) -> None:
    """Create a function with `factory`, then apply it to each item received until the parent process ends."""
    global _on_progress
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    restore_import_path()
    os.dup2(2, 1)  # output of libraries must not mix with results, nor block on a full pipe
    console.set_quiet(quiet)
    console.redirect(lambda line: connection.send(LogLine(line)))
    _on_progress = lambda amount: connection.send(ProgressReport(amount))  # noqa: E731
    with suppress(EOFError, BrokenPipeError):  # the parent has ended
        try:
            function = factory()
        except Exception as error:
            connection.send(_failure(error))
            return
        connection.send(Success())
        while True:
            item = connection.recv()
            try:
                outcome: Outcome = Success(function(item))
            except Exception as error:
                outcome = _failure(error)
            connection.send(outcome)


def _failure(error: Exception) -> Failure:
    if not isinstance(error, NmtError):
        error.add_note(traceback.format_exc())
    return Failure(error)


def _exit_with_parent() -> None:
    """Exit as soon as the parent process has ended, even in the middle of an item."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    sys.stderr.flush()
    os._exit(1)
