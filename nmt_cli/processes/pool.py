"""A pool of worker processes that returns results in the order of the items.

Each worker has a thread in this process, which takes the next item, sends it and passes on the answer. So a result is
available while later items are still being read. The threads share only a queue of events with the consumer of the
results, which alone prints and raises.

`concurrent.futures.ProcessPoolExecutor` does not do: it gives all workers one initializer, has no callback for their
messages, does not say by which signal a worker was killed, cannot stop running items, and its workers outlive a killed
parent.
"""

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Self, TypeVar

from nmt_cli import console
from nmt_cli.console import OnProgress
from nmt_cli.errors import NmtError, ResourceError
from nmt_cli.processes.import_path import safe_import_path
from nmt_cli.processes.worker import Failure, LogLine, Message, Outcome, ProgressReport, Success, run_worker

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a process to stop."""

_ITEMS_PER_WORKER = 3
"""Maximum number of items in progress per worker: one in work, the others waiting for an earlier result."""
_MAX_REMEMBERED_LINES = 100
"""Maximum number of log lines that are kept to suppress repetitions."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
WorkerFactory = Callable[[], Callable[[_Item], _Result]]
"""Creates in a worker the function that is applied to items. Factories, items and results must be picklable."""


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_ordered(count: int, factory: WorkerFactory[_Item, _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Yield the result for each item, computed by at most `count` processes; by this one for at most one item."""
    items = iter(items)
    first = list(islice(items, count))
    if len(first) <= 1:
        yield from map(factory(), chain(first, items))
        return
    with WorkerPool([factory] * len(first)) as pool:
        yield from pool.results(chain(first, items))


@dataclass(frozen=True)
class _End:
    """There are no more items."""


@dataclass(frozen=True)
class _ItemDone:
    """The outcome of the item at `index`."""

    index: int
    outcome: Outcome | _End


_Event = _ItemDone | ProgressReport | LogLine | Failure
"""What a thread passes on. A bare `Failure` belongs to no item and ends the work."""


class WorkerPool(Generic[_Item, _Result]):
    """A pool of processes that end with the context, or with this process, whatever happens.

    Args:
        factories: One per process.
        memory_advice: Remedy to name if a worker was killed, probably for lack of memory.
    """

    def __init__(
        self, factories: Sequence[WorkerFactory[_Item, _Result]], memory_advice: str = "lower --nproc and run it again"
    ) -> None:
        self._factories, self._memory_advice = factories, memory_advice
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        # Signals, including those that a terminal sends to all its processes, are for this process; the workers end
        # with it. They start with signals blocked and never unblock them. The resource tracker, which starts with the
        # first process, would unblock them here, so it is started before.
        with safe_import_path():
            resource_tracker.ensure_running()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            for number, factory in enumerate(self._factories, 1):
                here, there = context.Pipe()
                process = context.Process(target=run_worker, args=(factory, there, console.is_quiet()), daemon=True)
                with safe_import_path():
                    process.start()
                there.close()  # so that the connection closes when the worker ends
                self._workers.append(_Worker(number, process, here, self._memory_advice))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers:
            worker.process.kill()  # workers have nothing to save
        for worker in self._workers:
            worker.join()

    def results(self, items: Iterable[_Item], on_progress: OnProgress = lambda amount: None) -> Iterator[_Result]:
        """Yield the result for each item, in order.

        An exception raised by an item, or by the iterator of items, is raised in its turn; the failure of a worker to
        start, or its death, at once. `on_progress` is called with what workers pass to `report_progress`.
        """
        events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        supply = _ItemSupply(items, _ITEMS_PER_WORKER * len(self._workers))
        for worker in self._workers:
            threading.Thread(target=worker.serve, args=(supply, events.put), daemon=True).start()
        waiting, index = dict[int, Outcome | _End](), 0
        try:
            for done in _completed_items(events, on_progress):
                waiting[done.index] = done.outcome
                while index in waiting:
                    match waiting.pop(index):
                        case _End():
                            return
                        case Failure(error):
                            raise error
                        case Success(result):
                            yield result
                    supply.release()
                    index += 1
        finally:
            supply.close()


def _completed_items(events: "queue.SimpleQueue[_Event]", on_progress: OnProgress) -> Iterator[_ItemDone]:
    """Yield completed items without end, and handle all other events."""
    printed = set[str]()
    while True:
        match events.get():
            case _ItemDone() as done:
                yield done
            case ProgressReport(amount):
                on_progress(amount)
            case LogLine(line):
                if line not in printed:  # every worker warns about the files that all of them open
                    console.write_line(line)
                if len(printed) < _MAX_REMEMBERED_LINES:
                    printed.add(line)
            case Failure(error):
                raise error


class _ItemSupply:
    """Hands out items with their indices to the threads; at most `max_items` may be in progress."""

    def __init__(self, items: Iterable[Any], max_items: int) -> None:
        self._items, self._index, self._is_over = iter(items), 0, False
        self._lock, self._free = threading.Lock(), threading.Semaphore(max_items)

    def take(self, emit: Callable[[_ItemDone], None]) -> tuple[int, Any] | None:
        """Return the next item; after the last one None. The end, or an exception while reading, is emitted once."""
        self._free.acquire()
        with self._lock:
            index, self._index = self._index, self._index + 1
            if not self._is_over:
                try:
                    return index, next(self._items)
                except StopIteration:
                    emit(_ItemDone(index, _End()))
                except Exception as error:
                    emit(_ItemDone(index, Failure(error)))
                self._is_over = True
        self._free.release()
        return None

    def release(self) -> None:
        """Allow one more item to be taken."""
        self._free.release()

    def close(self) -> None:
        """Hand out no more items and wake the waiting threads. An item that is being read is not awaited."""
        self._is_over = True
        self._free.release()


@dataclass(frozen=True)
class _Worker:
    """A worker process with its connection, used by its thread in this process."""

    number: int
    process: BaseProcess
    connection: "Connection[Any, Message]"
    memory_advice: str
    _join_lock: threading.Lock = field(default_factory=threading.Lock)
    """Serialises join(): of two threads that wait, one would return before the exit code is set."""

    def serve(self, supply: _ItemSupply, emit: Callable[[_Event], None]) -> None:
        """Have the process work on items until there are no more."""
        try:
            if isinstance(started := self._receive_outcome(emit), Failure):
                emit(started)
                return
            while (taken := supply.take(emit)) is not None:
                index, item = taken
                self.connection.send(item)
                emit(_ItemDone(index, self._receive_outcome(emit)))
        except (EOFError, OSError):
            emit(Failure(self._cause_of_death()))
        except Exception as error:  # the received result cannot be unpickled
            emit(Failure(error))

    def join(self) -> int:
        """Wait for the process to end and return its exit code."""
        with self._join_lock:
            self.process.join()
        return self.process.exitcode or 0

    def _receive_outcome(self, emit: Callable[[ProgressReport | LogLine], None]) -> Outcome:
        """Return the next outcome; pass on other messages that arrive before it."""
        while isinstance(message := self.connection.recv(), ProgressReport | LogLine):
            emit(message)
        return message

    def _cause_of_death(self) -> NmtError:
        code = self.join()
        if code < 0:
            name = signal.Signals(-code).name
            return ResourceError(f"process {self.number} was killed by {name}; if out of memory, {self.memory_advice}")
        return NmtError(f"process {self.number} ended with exit code {code}")
