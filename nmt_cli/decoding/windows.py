"""Requests in windows: what is translated together, so that lines of like length can share a batch."""

import itertools
import queue
import threading
from collections.abc import Iterable, Iterator

from nmt_cli.decoding.requests import Request

_SMALLEST, _LARGEST = 32, 2048
"""Lines. Larger windows would save few steps of search (benchmarks/results/window_sizes.md), but be late, and be shared
out unevenly among processes."""
_PATIENCE = 0.05
"""Seconds to wait for one more line before those at hand are translated."""


def windows(requests: Iterable[Request]) -> Iterator[list[Request]]:
    """Cut requests into windows that grow, so that the first answers come early."""
    requests = iter(requests)
    for size in _sizes():
        window = list(itertools.islice(requests, size))
        if not window:
            return
        yield window


def arriving(requests: Iterable[Request]) -> Iterator[list[Request]]:
    """As `windows`, but a window also ends when no further line arrives for a moment.

    So whoever writes one line into a pipe, and waits for its translation before the next, gets it. Lines are read
    in a thread of their own; what goes wrong there is raised here.
    """
    waiting: queue.Queue[Request | BaseException | None] = queue.Queue(2 * _LARGEST)
    threading.Thread(target=_read, args=(requests, waiting), daemon=True).start()
    for size in _sizes():
        window: list[Request] = []
        item = waiting.get()
        while isinstance(item, Request):
            window.append(item)
            if len(window) == size:
                break
            try:
                item = waiting.get(timeout=_PATIENCE)
            except queue.Empty:
                break
        if window:
            yield window
        if isinstance(item, BaseException):
            raise item
        if item is None:
            return


def _read(requests: Iterable[Request], waiting: "queue.Queue[Request | BaseException | None]") -> None:
    try:
        for request in requests:
            waiting.put(request)
    except BaseException as error:
        waiting.put(error)
    else:
        waiting.put(None)


def _sizes() -> Iterator[int]:
    size = _SMALLEST
    while True:
        yield size
        size = min(2 * size, _LARGEST)
