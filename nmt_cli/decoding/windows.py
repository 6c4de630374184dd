"""Lines in windows: what is translated together, so that lines of like length can share a batch."""

import itertools
import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

_SMALLEST, _LARGEST = 32, 2048
"""Lines. Larger windows would save few steps of search (benchmarks/results/window_sizes.md), but be late, and be shared
out unevenly among processes."""
_PATIENCE = 0.05
"""Seconds to wait for one more line before those at hand are translated."""


def windows(lines: Iterable[Item]) -> Iterator[list[Item]]:
    """Cut lines, or whatever they were read as, into windows that grow, so that the first answers come early."""
    lines = iter(lines)
    for size in _sizes():
        window = list(itertools.islice(lines, size))
        if not window:
            return
        yield window


def arriving(lines: Iterable[Item]) -> Iterator[list[Item]]:
    """As `windows`, but a window also ends when no further line arrives for a moment.

    So whoever writes one line into a pipe, and waits for its translation before the next, gets it. Lines are read
    in a thread of their own; what goes wrong there is raised here.
    """
    waiting: queue.Queue[_Arrived[Item] | BaseException | None] = queue.Queue(2 * _LARGEST)
    threading.Thread(target=_read, args=(lines, waiting), daemon=True).start()
    for size in _sizes():
        window: list[Item] = []
        found = waiting.get()
        while isinstance(found, _Arrived):
            window.append(found.item)
            if len(window) == size:
                break
            try:
                found = waiting.get(timeout=_PATIENCE)
            except queue.Empty:
                break
        if window:
            yield window
        if isinstance(found, BaseException):
            raise found
        if found is None:
            return


@dataclass(frozen=True)
class _Arrived(Generic[Item]):
    item: Item


def _read(lines: Iterable[Item], waiting: "queue.Queue[_Arrived[Item] | BaseException | None]") -> None:
    try:
        for line in lines:
            waiting.put(_Arrived(line))
    except BaseException as error:
        waiting.put(error)
    else:
        waiting.put(None)


def _sizes() -> Iterator[int]:
    size = _SMALLEST
    while True:
        yield size
        size = min(2 * size, _LARGEST)
