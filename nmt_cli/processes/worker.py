"""What a process does that is given items, and what it says."""

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
from nmt_cli.errors import NmtError


@dataclass(frozen=True)
class Done:
    """What a worker sends when it is ready, and for each item."""

    result: Any = None


@dataclass(frozen=True)
class Failed:
    """The same if it went wrong."""

    error: Exception


@dataclass(frozen=True)
class Reported:
    """A number for whoever asked for the results."""

    number: int


@dataclass(frozen=True)
class Told:
    """A line for the user."""

    line: str


Outcome = Done | Failed

_report: Callable[[int], object] = lambda number: None  # noqa: E731


def report(number: int) -> None:
    """In a worker: have `heard`, where the results are asked for, called with a number."""
    _report(number)


def work(
    opener: Callable[[], Callable[[Any], Any]], connection: "Connection[Outcome | Reported | Told, Any]", quiet: bool
) -> None:
    """What a worker does: it opens what it works with, and does one item after another, until its parent is gone."""
    global _report
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.dup2(2, 1)  # what a library prints is no result, and nobody who reads stdout waits for this process
    console.set_quiet(quiet)
    console.redirect(lambda line: connection.send(Told(line)))
    _report = lambda number: connection.send(Reported(number))  # noqa: E731
    with suppress(EOFError, BrokenPipeError):  # the parent is gone
        try:
            make = opener()
        except Exception as error:
            connection.send(_failed(error))
            return
        connection.send(Done())
        while True:
            item = connection.recv()
            try:
                outcome: Outcome = Done(make(item))
            except Exception as error:
                outcome = _failed(error)
            connection.send(outcome)


def _failed(error: Exception) -> Failed:
    if not isinstance(error, NmtError):
        error.add_note(traceback.format_exc())
    return Failed(error)


def _end_with_parent() -> None:
    """However the parent ended, do not go on with an item that nobody waits for."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    sys.stderr.flush()
    os._exit(1)
