"""Stopping politely: a signal is noted, and obeyed when it is safe."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from nmt_cli import console
from nmt_cli.devices import is_rank

_POLITE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def noted_signals() -> Iterator[Callable[[], signal.Signals | None]]:
    """Note the first signal that asks to stop, instead of dying of it; a second one ends the process at once.

    What is yielded tells the signal, if there was one. A rank whose launcher is gone is asked to stop, too: nobody
    else would ever stop it.
    """
    noted: list[signal.Signals] = []
    parent = os.getppid()
    # What whoever started this process has it ignore stays ignored: hangups under nohup, Ctrl-C in the background.
    before = {number: signal.getsignal(number) for number in _POLITE}
    before = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}

    def note(number: int, _frame: FrameType | None) -> None:
        noted.append(signal.Signals(number))
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        console.info("stopping after this update; once more to stop at once")

    def asked() -> signal.Signals | None:
        if not noted and is_rank() and os.getppid() != parent:
            noted.append(signal.SIGTERM)
        return noted[0] if noted else None

    for number in before:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
