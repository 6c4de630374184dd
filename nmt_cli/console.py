"""Messages, progress and tables on stderr. Results go to stdout and never through this module."""

import re
import shlex
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from io import StringIO
from pathlib import Path
from typing import IO, Any, Literal, Protocol, TextIO

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from nmt_cli.errors import NmtError, StoppedError

OnProgress = Callable[[int], object]
"""Called with the number of items that have been completed since the last call."""
BarStyle = Literal["estimates", "figures", "brief"]
"""estimates: speed and time left, off a terminal as lines; figures: those of the caller; brief: removed at the end."""

# The lock that tqdm makes is shared with forked processes, and one that is killed while it writes never releases it.
tqdm.set_lock(threading.RLock())

_is_quiet = False
_write_elsewhere: Callable[[str], object] | None = None
_capture: ContextVar[Callable[[str], object] | None] = ContextVar("_capture", default=None)
_log_file: IO[bytes] | None = None
# Could steer the terminal or reverse the text around them, from a file's name or text.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_COLOURED = [
    (re.compile("^nmt: error:"), 31),  # red
    (re.compile("^nmt: warning:"), 33),  # yellow
    (re.compile(r"\(best so far\)$"), 32),  # green
]
"""Parts of messages, and their ANSI colours on a terminal."""
_MIN_SECONDS, _MIN_FRACTION = 30, 0.1
"""Time after which, or fraction of the items at which, the estimated time left is shown."""
_BAR_OF_FIGURES = "{desc}: {percentage:3.0f}% |{bar:8}| {n_fmt}/{total_fmt}{postfix}"
_FIGURES = "{desc}: {n_fmt}{unit}{postfix}"
"""Layouts of a progress bar whose caller gives speed and time left: with a total, and without one."""
_LOG_WIDTH = 120
"""Columns of a table where the output has no width of its own."""


class Reporter(Protocol):
    """Receives what a command reports while it runs. This module is the standard implementation."""

    def info(self, message: str) -> None:
        """Report progress or a result summary."""

    def warn(self, message: str) -> None:
        """Report a possible problem that does not stop the work."""

    def log(self, message: str) -> None:
        """Write a message to the log file only."""

    def log_to(self, file: IO[bytes]) -> AbstractContextManager[object]:
        """Also write all messages to a log file, even those that are not printed."""

    def table(self, title: str, columns: list[str], rows: Iterable[Iterable[Any]]) -> None:
        """Report rows of values; the first column is text."""

    def progress_bar(
        self, description: str, unit: str, total: int | None = None, done: int = 0, style: BarStyle = "estimates"
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


@contextmanager
def captured(on_message: Callable[[str], object]) -> Iterator[None]:
    """Pass the messages of this thread to a function instead of stderr, even if quiet, and show no progress bars."""
    token = _capture.set(on_message)
    try:
        yield
    finally:
        _capture.reset(token)


def write_line(line: str) -> None:
    """Write a line that a child process redirected, even if quiet."""
    _write(line)


@contextmanager
def log_to(file: IO[bytes]) -> Iterator[None]:
    """Also write all messages, with their times, to a log file, and the error that ends the context."""
    global _log_file
    outer, _log_file = _log_file, file
    try:
        yield
    except StoppedError as error:
        log(f"nmt: {error}" if str(error) else "")
        raise
    except NmtError as error:
        log("\n".join(_error_lines(str(error))))
        raise
    except BaseException:
        log(traceback.format_exc())
        raise
    finally:
        _log_file = outer


def log(message: str) -> None:
    """Write a message to the log file only. Failure is ignored: the work does not depend on it."""
    if _log_file is not None and message:
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        text = "".join(f"{now}  {_visible(line)}\n" for line in message.rstrip("\n").split("\n"))
        with suppress(OSError, ValueError):
            _log_file.write(text.encode(errors="backslashreplace"))


def info(message: str) -> None:
    """Print a message on its own line above any progress bar, unless quiet."""
    if _is_quiet and _capture.get() is None:
        log(message)
    else:
        _write(message)


def warn(message: str) -> None:
    """Print a warning. The work continues."""
    _write(f"nmt: warning: {message}")


def error(message: str) -> None:
    """Print an error, one line per line of the message."""
    for line in _error_lines(message):
        _write(line)


def table(title: str, columns: list[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print a table, unless quiet. All columns but the first are aligned right."""
    drawn = Table()
    for index, column in enumerate(columns):
        drawn.add_column(column, justify="right" if index else "left")
    for row in rows:
        drawn.add_row(*(_visible(str(cell)) for cell in row))

    def draw(file: TextIO, width: int | None) -> None:
        console = Console(file=file, markup=False, emoji=False, highlight=False, width=width)
        console.print(title, style="italic")  # rich would wrap the title of a table to the width of its columns
        console.print(drawn)

    on_message = _capture.get()
    if _log_file is not None or on_message is not None:
        draw(text := StringIO(), _LOG_WIDTH)
        log(text.getvalue())
    if on_message is not None:
        on_message(text.getvalue().rstrip("\n"))
    elif not _is_quiet and sys.stderr is not None:
        with suppress(OSError):
            draw(sys.stderr, None if _is_terminal() else _LOG_WIDTH)


class ProgressBar:
    """A progress bar with time left on a terminal; elsewhere a plain line every ten seconds.

    Args:
        unit: Plural name of what is counted, such as "lines".
        total: Number of items in all, if known.
        done: Items completed by an earlier run. They do not count towards the speed.
        style: See BarStyle.
    """

    def __init__(
        self, description: str, unit: str, total: int | None = None, done: int = 0, style: BarStyle = "estimates"
    ) -> None:
        self.description, self.unit, self.total, self.done = description, unit, total, done
        self._has_plain_lines = style == "estimates"
        self._started, self._initial, self._next_line = time.monotonic(), done, time.monotonic() + 10
        self._bar: tqdm[Any] | None = None
        self.on_terminal = _is_terminal() and not _is_quiet and _capture.get() is None
        if self.on_terminal:
            shown: dict[str, Any] = {"desc": description, "unit": f" {unit}", "total": total, "initial": done}
            shown |= {"bar_format": _FIGURES if total is None else _BAR_OF_FIGURES} if style == "figures" else {}
            self._bar = tqdm(dynamic_ncols=True, file=sys.stderr, leave=style != "brief", **shown)

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.refresh()  # the last figures may be newer than those that are shown
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
            of_total, left = f" of {self.total:,}" if self.total else "", self.time_left()
            info(f"{self.description}: {self.done:,}{of_total} {self.unit}" + (f", {left} left" if left else ""))

    def time_left(self) -> str:
        """Return the estimated time left at the average speed so far, such as 1:23:45.

        Empty while it is unknown: processes and caches start slowly, so that the first estimates are far too long.
        """
        done, elapsed = self.done - self._initial, time.monotonic() - self._started
        is_early = elapsed < _MIN_SECONDS and done < _MIN_FRACTION * ((self.total or 0) - self._initial)
        if not self.total or done <= 0 or is_early:
            return ""
        return duration(elapsed / done * (self.total - self.done))


progress_bar = ProgressBar  # as a function of `Reporter`


def command_line(*words: str | Path) -> str:
    """Return a command that can be copied into a shell.

    >>> command_line("nmt", "evaluate", Path("-x"), "--test", "a b")
    "nmt evaluate ./-x --test 'a b'"
    """
    texts = (f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word) for word in words)
    return shlex.join(texts)


def duration(seconds: float) -> str:
    """Format seconds as 1:23:45 or 23:45."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def has_colours(stream: TextIO | None) -> bool:
    """Return whether to print colours: the stream is a terminal that has them, and NO_COLOR is not set."""
    if stream is None or not stream.isatty():
        return False
    terminal = Console(file=stream)
    return terminal.color_system is not None and not terminal.no_color


def in_colour(text: str, code: int) -> str:
    """Return the text in bold and an ANSI colour."""
    return f"\x1b[1;{code}m{text}\x1b[0m"


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _write(line: str) -> None:
    if _write_elsewhere is not None:
        _write_elsewhere(line)
        return
    log(line)
    if (on_message := _capture.get()) is not None:
        on_message(line)
        return
    if sys.stderr is None:
        return
    # Neither a closed or full stderr nor a signal handler that prints during a write may stop the work.
    # tqdm's bars lack attributes after a lack of memory.
    with suppress(OSError, ValueError, RuntimeError, AttributeError, MemoryError):
        text = _visible(line)
        if has_colours(sys.stderr):
            for part, code in _COLOURED:
                text = part.sub(lambda found, code=code: in_colour(found[0], code), text)  # type: ignore[misc]
        tqdm.write(text, file=sys.stderr)
        sys.stderr.flush()


def _visible(line: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), line)


def _error_lines(message: str) -> list[str]:
    return [f"nmt: error: {line}" for line in message.split("\n") if message]
