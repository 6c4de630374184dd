"""Ending in good order when a signal asks to."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from nmt_cli.errors import StoppedError
from nmt_cli.processes import STOP_SIGNALS


@contextmanager
def signals_raised() -> Iterator[None]:
    """Let the first signal that asks to stop raise StoppedError, so that what is open is closed, what is begun removed.

    A second one ends the process at once. What whoever started this process has it ignore stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears signals
        return
    before = {number: handler for number in STOP_SIGNALS if (handler := signal.getsignal(number)) != signal.SIG_IGN}

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        raise StoppedError(f"stopped by {signal.Signals(number).name}", number)

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
