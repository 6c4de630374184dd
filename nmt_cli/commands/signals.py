"""Stopping politely: a signal is noted, and obeyed when it is safe."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from nmt_cli import console

_POLITE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def noted_signals() -> Iterator[list[signal.Signals]]:
    """Collect the first signal that asks to stop, instead of dying of it; a second one ends the process at once."""
    noted: list[signal.Signals] = []
    before = {number: signal.getsignal(number) for number in _POLITE}

    def note(number: int, _frame: FrameType | None) -> None:
        noted.append(signal.Signals(number))
        for each in _POLITE:
            signal.signal(each, signal.SIG_DFL)
        console.say("stopping after this update; once more to stop at once")

    for number in _POLITE:
        signal.signal(number, note)
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
