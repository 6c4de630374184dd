"""Work shared out to processes; what comes back is in order, and the same for any number of them."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, TypeVar

from nmt_cli import console
from nmt_cli.errors import ResourceError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_AHEAD = 3
"""Items for each process that may be under way: one it has, the others wait for it or to be taken."""

_work: Callable[[Any], Any]
"""What this process does to each item."""


def cores() -> int:
    """As many as this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(count: int, opener: Callable[[], Callable[[_Item], _Result]], items: Iterable[_Item]) -> Iterator[_Result]:
    """What the worker that `opener` makes, once in each of `count` processes, returns for each item.

    Items are taken when there is room for them. What a worker raises is raised here, in its turn; all processes end
    with the iteration, or with this process.
    """
    if count == 1:
        yield from map(opener(), items)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, context, _start, (opener, console.is_quiet()))
    under_way: deque[Future[_Result]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(_do, item))
            if len(under_way) >= _AHEAD * count:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    except BrokenProcessPool as error:
        raise ResourceError("one of the processes was killed; if memory was short, lower --nproc") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start(opener: Callable[[], Callable[[Any], Any]], quiet: bool) -> None:
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the first process ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()
    console.set_quiet(quiet)
    _work = opener()


def _do(item: Any) -> Any:
    return _work(item)


def _end_with_parent() -> None:
    """However the parent ended, do not wait for more work."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
