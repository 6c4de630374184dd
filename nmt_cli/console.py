"""Talk on stderr: messages, progress, tables. Results never pass here."""

import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

_quiet = False
_tell: Callable[[str], object] | None = None
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # could steer the terminal, from a file's name or text


def set_quiet(quiet: bool) -> None:
    """Say nothing but warnings and errors from now on."""
    global _quiet
    _quiet = quiet


def is_quiet() -> bool:
    """Whether only warnings and errors are told."""
    return _quiet


def divert(tell: Callable[[str], object]) -> None:
    """From now on give each line to `tell`, in place of stderr, such as to another process that knows what is shown."""
    global _tell
    _tell = tell


def tell(line: str) -> None:
    """Write a line that another process was about to."""
    _write(line)


def say(message: str) -> None:
    """Tell what happens, on a line of its own above any progress bar."""
    if not _quiet:
        _write(message)


def warn(message: str) -> None:
    """Tell what may be wrong; the work goes on."""
    _write(f"nmt: warning: {message}")


def error(message: str) -> None:
    """Tell what went wrong, one line for each mistake."""
    for line in message.split("\n"):
        _write(f"nmt: error: {line}")


def table(title: str, columns: list[str], rows: Iterable[Iterable[Any]]) -> None:
    """Show rows under columns; all columns but the first are aligned right."""
    if _quiet or sys.stderr is None:
        return
    drawn = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        drawn.add_column(column, justify="right" if number else "left")
    for row in rows:
        drawn.add_row(*(str(cell) for cell in row))
    with suppress(OSError):
        width = None if _is_terminal() else 120  # a log has no width of its own
        Console(stderr=True, markup=False, emoji=False, highlight=False, width=width).print(drawn)


class Progress:
    """Work that takes long: a bar with time left on a terminal, a plain line now and then elsewhere.

    With plain_lines off there is nothing but the bar, for those who print lines of their own.
    """

    def __init__(
        self, description: str, unit: str, total: int | None = None, done: int = 0, plain_lines: bool = True
    ) -> None:
        self.description, self.unit, self.total, self.done = description, unit, total, done
        self._silent = not plain_lines
        self._started, self._first, self._next_line = time.monotonic(), done, time.monotonic() + 10
        self._bar: tqdm[Any] | None = None
        self.on_terminal = _is_terminal() and not _quiet
        if self.on_terminal:
            self._bar = tqdm(
                desc=description,
                unit=f" {unit}",
                total=total,
                initial=done,
                dynamic_ncols=True,
                file=sys.stderr,
            )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, amount: int = 1, facts: Mapping[str, str] | None = None) -> None:
        """Count work done; `facts` stand beside the bar. Off a terminal a line is printed every ten seconds."""
        self.done += amount
        if self._bar is not None:
            if facts:
                self._bar.set_postfix(facts, refresh=False)
            self._bar.update(amount)
        elif not self._silent and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + 10
            of_total = f" of {self.total:,}" if self.total else ""
            left = self.time_left()
            say(f"{self.description}: {self.done:,}{of_total} {self.unit}" + (f", {left} left" if left else ""))

    def time_left(self) -> str:
        """Time to the end at the pace so far, such as 1:23:45; empty while unknown."""
        done = self.done - self._first
        if not self.total or done <= 0:
            return ""
        return duration((time.monotonic() - self._started) / done * (self.total - self.done))


def duration(seconds: float) -> str:
    """Seconds as 1:23:45 or 23:45."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _write(line: str) -> None:
    if _tell is not None:
        _tell(line)
        return
    if sys.stderr is None:
        return
    visible = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", line)
    # A closed or full stderr must not stop the work, nor a signal that speaks while a line is being written.
    with suppress(OSError, ValueError, RuntimeError):
        tqdm.write(visible, file=sys.stderr)
        sys.stderr.flush()
