"""Messages, progress and tables on stderr. Results go to stdout and never through this module."""

import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

OnProgress = Callable[[int], object]
"""Called with the number of items that have been completed since the last call."""

# The lock that tqdm makes is shared with forked processes, and one that is killed while it writes never releases it.
tqdm.set_lock(threading.RLock())

_is_quiet = False
_write_elsewhere: Callable[[str], object] | None = None
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # could steer the terminal, from a file's name or text


class Reporter(Protocol):
    """Receives what a command reports while it runs. This module is the standard implementation."""

    def info(self, message: str) -> None:
        """Report progress or a result summary."""

    def warn(self, message: str) -> None:
        """Report a possible problem that does not stop the work."""

    def table(self, title: str, columns: list[str], rows: Iterable[Iterable[Any]]) -> None:
        """Report rows of values; the first column is text."""

    def progress_bar(
        self, description: str, unit: str, total: int | None = None, done: int = 0, plain_lines: bool = True
    ) -> "ProgressBar":
        """Return a progress bar, to be used as a context manager."""

    def set_quiet(self, quiet: bool) -> None:
        """Report only warnings from now on."""


def set_quiet(quiet: bool) -> None:
    """Print only warnings and errors from now on."""
    global _is_quiet
    _is_quiet = quiet


def is_quiet() -> bool:
    """Return whether only warnings and errors are printed."""
    return _is_quiet


def redirect(write: Callable[[str], object]) -> None:
    """Pass each line to `write` instead of stderr from now on, for example to send it to the parent process."""
    global _write_elsewhere
    _write_elsewhere = write


def write_line(line: str) -> None:
    """Write a line that a child process redirected, even if quiet."""
    _write(line)


def info(message: str) -> None:
    """Print a message on its own line above any progress bar, unless quiet."""
    if not _is_quiet:
        _write(message)


def warn(message: str) -> None:
    """Print a warning. The work continues."""
    _write(f"nmt: warning: {message}")


def error(message: str) -> None:
    """Print an error, one line per line of the message."""
    for line in message.split("\n"):
        _write(f"nmt: error: {line}")


def table(title: str, columns: list[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print a table, unless quiet. All columns but the first are aligned right."""
    if _is_quiet or sys.stderr is None:
        return
    drawn = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        drawn.add_column(column, justify="right" if index else "left")
    for row in rows:
        drawn.add_row(*(str(cell) for cell in row))
    with suppress(OSError):
        width = None if _is_terminal() else 120  # a log file has no width of its own
        Console(stderr=True, markup=False, emoji=False, highlight=False, width=width).print(drawn)


class ProgressBar:
    """A progress bar with time left on a terminal; elsewhere a plain line every ten seconds.

    Args:
        unit: Plural name of what is counted, such as "lines".
        total: Number of items in all, if known.
        done: Items completed by an earlier run. They do not count towards the speed.
        plain_lines: Whether to print plain lines off a terminal. Turn it off if the caller prints its own.
    """

    def __init__(
        self, description: str, unit: str, total: int | None = None, done: int = 0, plain_lines: bool = True
    ) -> None:
        self.description, self.unit, self.total, self.done = description, unit, total, done
        self._has_plain_lines = plain_lines
        self._started, self._initial, self._next_line = time.monotonic(), done, time.monotonic() + 10
        self._bar: tqdm[Any] | None = None
        self.on_terminal = _is_terminal() and not _is_quiet
        if self.on_terminal:
            self._bar = tqdm(
                desc=description,
                unit=f" {unit}",
                total=total,
                initial=done,
                dynamic_ncols=True,
                file=sys.stderr,
            )

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, amount: int = 1, values: Mapping[str, str] | None = None) -> None:
        """Count completed items. `values` are shown beside the bar."""
        self.done += amount
        if self._bar is not None:
            if values:
                self._bar.set_postfix(values, refresh=False)
            self._bar.update(amount)
        elif self._has_plain_lines and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + 10
            of_total = f" of {self.total:,}" if self.total else ""
            left = self.time_left()
            info(f"{self.description}: {self.done:,}{of_total} {self.unit}" + (f", {left} left" if left else ""))

    def time_left(self) -> str:
        """Return the estimated time left at the average speed so far, such as 1:23:45; empty while unknown."""
        done = self.done - self._initial
        if not self.total or done <= 0:
            return ""
        return duration((time.monotonic() - self._started) / done * (self.total - self.done))


progress_bar = ProgressBar  # as a function of `Reporter`


def duration(seconds: float) -> str:
    """Format seconds as 1:23:45 or 23:45."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _write(line: str) -> None:
    if _write_elsewhere is not None:
        _write_elsewhere(line)
        return
    if sys.stderr is None:
        return
    visible = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", line)
    # Neither a closed or full stderr nor a signal handler that prints during a write may stop the work.
    with suppress(OSError, ValueError, RuntimeError):
        tqdm.write(visible, file=sys.stderr)
        sys.stderr.flush()
