"""Work shared out to processes; what comes back is in order, and the same for any number of them."""

import multiprocessing
import os
import queue
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, cycle, islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from nmt_cli import console
from nmt_cli.errors import NmtError, ResourceError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Opener = Callable[[], Callable[[Any], Any]]

_AHEAD = 3
"""Items for each process that may be under way: one it has, the others wait for it or to be taken."""
_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def cores() -> int:
    """As many as this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(count: int, opener: Callable[[], Callable[[_Item], _Result]], items: Iterable[_Item]) -> Iterator[_Result]:
    """What the worker that `opener` makes, once in each of `count` processes, returns for each item.

    Items are dealt out in turn, as long as there is room for them. What a worker raises is raised here, in its turn;
    all processes end with the iteration, or with this process.
    """
    items = iter(items)
    first = list(islice(items, count))  # no more processes than there is work for
    if len(first) <= 1:
        yield from map(opener(), chain(first, items))
        return
    with _workers(len(first), opener) as workers:
        under_way = deque[_Worker]()
        for item, worker in zip(chain(first, items), cycle(workers), strict=False):
            if len(under_way) == _AHEAD * len(workers):
                yield _result(under_way.popleft(), workers)
            worker.take(item)
            under_way.append(worker)
        while under_way:
            yield _result(under_way.popleft(), workers)


def _result(worker: "_Worker", workers: "list[_Worker]") -> Any:
    """What a worker is next to send; meanwhile no other may end."""
    ready = wait([worker.connection, *(each.process.sentinel for each in workers)])
    if worker.connection not in ready:
        raise next(each for each in workers if each.process.sentinel in ready).failure()
    return worker.result()


@dataclass(frozen=True)
class _Worker:
    """A process, as seen from here. It has a pipe of its own, which ends when it does, even amid a result."""

    process: BaseProcess
    connection: "Connection[Any, Any]"

    def take(self, item: Any) -> None:
        """Let it do one more item."""
        try:
            self.connection.send(item)
        except OSError as error:
            raise self.failure() from error

    def result(self) -> Any:
        """Of the next of its items."""
        try:
            result, error = self.connection.recv()
        except (EOFError, OSError) as gone:
            raise self.failure() from gone
        if error is not None:
            raise error
        return result

    def failure(self) -> NmtError:
        """How it ended."""
        self.process.join()
        code = self.process.exitcode or 0
        if code < 0:
            name = signal.Signals(-code).name
            return ResourceError(
                f"one of the processes was killed by {name}; if memory was short, lower --nproc, "
                "and run the same command again: it goes on where it was"
            )
        return NmtError(f"one of the processes ended with exit code {code}")


@contextmanager
def _workers(count: int, opener: _Opener) -> Iterator[list[_Worker]]:
    context, workers = multiprocessing.get_context("spawn"), list[_Worker]()
    # Signals are for this process, also those a terminal sends to all: its workers end with it. They are started
    # with signals blocked, and stay so. The tracker that comes with the first would unblock them.
    resource_tracker.ensure_running()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        try:
            for _ in range(count):
                here, there = context.Pipe()
                process = context.Process(target=_work, args=(opener, there, console.is_quiet()), daemon=True)
                process.start()
                there.close()  # so that it is closed when the worker is gone
                workers.append(_Worker(process, here))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        yield workers
    finally:
        for worker in workers:
            worker.process.kill()  # they have nothing to save
        for worker in workers:
            worker.process.join()
            worker.connection.close()


def _work(opener: _Opener, connection: "Connection[Any, Any]", quiet: bool) -> None:
    """Do items as they come. Threads read and send, so that nobody waits for another without need."""
    console.set_quiet(quiet)
    items, results = queue.SimpleQueue[Any](), queue.SimpleQueue[Any]()
    threading.Thread(target=_read, args=(connection, items), daemon=True).start()
    threading.Thread(target=_send, args=(connection, results), daemon=True).start()
    worker = None
    while True:
        item = items.get()
        try:
            worker = worker or opener()
            results.put((worker(item), None))
        except Exception as error:
            if not isinstance(error, NmtError):
                error.add_note(traceback.format_exc())
            results.put((None, error))


def _read(connection: "Connection[Any, Any]", items: "queue.SimpleQueue[Any]") -> None:
    try:
        while True:
            items.put(connection.recv())
    except (EOFError, OSError):
        os._exit(1)  # the parent has ended, however that was


def _send(connection: "Connection[Any, Any]", results: "queue.SimpleQueue[Any]") -> None:
    try:
        while True:
            connection.send(results.get())
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
