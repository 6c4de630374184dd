"""Windows: lines that are translated together, so that lines of similar length can share a batch."""

import itertools
import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from nmt_cli.console import OnProgress

_Item = TypeVar("_Item")

_MIN_LINES, _MAX_LINES = 32, 2048
"""Larger windows would save few decoding steps (benchmarks/results/window_sizes.md), but delay the output and be spread
unevenly over processes."""
_TIMEOUT = 0.05
"""Seconds to wait for another line before a window is translated."""


def windows(lines: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Split lines into windows that grow, so that the first results come early."""
    lines = iter(lines)
    for size in _sizes():
        window = list(itertools.islice(lines, size))
        if not window:
            return
        yield window


def arriving_windows(lines: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Split lines as `windows` does, but also end a window when no further line arrives for a moment.

    A program that writes one line into a pipe and waits for its translation gets it. Lines are read in a thread, whose
    exceptions are raised here.
    """
    waiting: queue.Queue[_Arrived[_Item] | BaseException | None] = queue.Queue(2 * _MAX_LINES)
    threading.Thread(target=_read, args=(lines, waiting), daemon=True).start()
    for size in _sizes():
        window: list[_Item] = []
        found = waiting.get()
        while isinstance(found, _Arrived):
            window.append(found.item)
            if len(window) == size:
                break
            try:
                found = waiting.get(timeout=_TIMEOUT)
            except queue.Empty:
                break
        if window:
            yield window
        if isinstance(found, BaseException):
            raise found
        if found is None:
            return


@dataclass(frozen=True)
class _Arrived(Generic[_Item]):
    item: _Item


def _read(lines: Iterable[_Item], waiting: "queue.Queue[_Arrived[_Item] | BaseException | None]") -> None:
    try:
        for line in lines:
            waiting.put(_Arrived(line))
    except BaseException as error:
        waiting.put(error)
    else:
        waiting.put(None)


def _sizes() -> Iterator[int]:
    size = _MIN_LINES
    while True:
        yield size
        size = min(2 * size, _MAX_LINES)


def in_lines(on_progress: OnProgress, num_lines: int, num_sentences: int) -> OnProgress:
    """Return a function that takes numbers of finished sentences and reports the same fraction of the lines."""
    done = 0

    def advance(sentences: int) -> None:
        nonlocal done
        before, done = done * num_lines // num_sentences, done + sentences
        on_progress(done * num_lines // num_sentences - before)

    return advance
