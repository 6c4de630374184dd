"""What a worker process does: it loads the model and answers one window after another, until its parent is gone."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait

from nmt_cli import console
from nmt_cli.commands.translating.answering import Answer, Answering, Window
from nmt_cli.errors import NmtError


def work(
    opener: Callable[[int, int], Answering],
    number: int,
    count: int,
    connection: "Connection[Answer | int | str | None, Window]",
    quiet: bool,
) -> None:
    """Answer windows; None says that all is loaded, a number how many lines a batch had, a text what to tell the user.

    A mistake of the user is told and ends the process with its exit code.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.dup2(2, 1)  # what a library prints is no translation, and nobody who reads stdout waits for this process
    console.set_quiet(quiet)
    console.divert(connection.send)
    try:
        answer = opener(number, count)
        connection.send(None)
        while True:
            connection.send(answer(connection.recv(), connection.send))
    except NmtError as mistake:
        console.error(str(mistake))
        sys.exit(mistake.exit_code)
    except (EOFError, BrokenPipeError):
        return  # the parent is gone


def _end_with_parent() -> None:
    """However the parent ended, do not go on with a window that nobody waits for."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
