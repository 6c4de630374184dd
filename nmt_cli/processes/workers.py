"""Work shared out to processes that are started for it; results come in the order of the items, whoever made them.

For each process there is a thread here, which takes the next item, sends it, and passes on what comes back. So an item
that arrives is done while others are still awaited. Nothing is shared but the queue of what these threads hand on to
the one that asks for the results, which alone talks, and raises.
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
from nmt_cli.errors import NmtError, ResourceError
from nmt_cli.processes.worker import Done, Failed, Outcome, Reported, Told, work

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a process to stop."""

_AHEAD = 3
"""Items for each worker that may be under way: one it has, the others wait for one before them to be done."""
_REMEMBERED = 100
"""Lines that were told and are not told again."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
Opener = Callable[[], Callable[[_Item], _Result]]
"""Makes what is made of items. It goes to another process, as items and results do: all of them are pickled."""


def cores() -> int:
    """As many as this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(count: int, opener: Opener[_Item, _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """What is made of each item by at most `count` processes; by this one, if there is no more than one item."""
    items = iter(items)
    first = list(islice(items, count))
    if len(first) <= 1:
        yield from map(opener(), chain(first, items))
        return
    with Workers([opener] * len(first)) as workers:
        yield from workers.results(chain(first, items))


@dataclass(frozen=True)
class _End:
    """There are no more items."""


@dataclass(frozen=True)
class _Found:
    """What became of the item at a place."""

    place: int
    outcome: Outcome | _End


_News = _Found | Reported | Told | Failed
"""What a thread hands on; a failure that is not of an item ends all."""


class Workers(Generic[_Item, _Result]):
    """Processes that do items; whatever happens, they end with the context, or with this process."""

    def __init__(
        self, openers: Sequence[Opener[_Item, _Result]], when_short: str = "lower --nproc and run it again"
    ) -> None:
        """A process for each opener; `when_short` says what helps if memory was short."""
        self._openers, self._when_short = openers, when_short
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        # Signals are for this process, also those a terminal sends to all: its workers end with it. They are started
        # with signals blocked, and stay so. The tracker that comes with the first would unblock them.
        resource_tracker.ensure_running()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            for number, opener in enumerate(self._openers, 1):
                here, there = context.Pipe()
                process = context.Process(target=work, args=(opener, there, console.is_quiet()), daemon=True)
                process.start()
                there.close()  # so that it is closed when the worker is gone
                self._workers.append(_Worker(number, process, here, self._when_short))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers:
            worker.process.kill()  # they have nothing to save
        for worker in self._workers:
            worker.ended()

    def results(
        self, items: Iterable[_Item], heard: Callable[[int], object] = lambda number: None
    ) -> Iterator[_Result]:
        """What is made of each item. What goes wrong in making or reading one is raised in its turn.

        A worker that cannot begin, or is killed, is told at once. `heard` is called with what workers `report`.
        """
        news: queue.SimpleQueue[_News] = queue.SimpleQueue()
        supply = _Supply(items, _AHEAD * len(self._workers))
        for worker in self._workers:
            threading.Thread(target=worker.serve, args=(supply, news.put), daemon=True).start()
        found, place = dict[int, Outcome | _End](), 0
        try:
            for one in _all_found(news, heard):
                found[one.place] = one.outcome
                while place in found:
                    match found.pop(place):
                        case _End():
                            return
                        case Failed(error):
                            raise error
                        case Done(result):
                            yield result
                    supply.done()
                    place += 1
        finally:
            supply.close()


def _all_found(news: "queue.SimpleQueue[_News]", heard: Callable[[int], object]) -> Iterator[_Found]:
    """What becomes of items, without end; meanwhile workers may talk, or fail."""
    told = set[str]()
    while True:
        match news.get():
            case _Found() as one:
                yield one
            case Reported(number):
                heard(number)
            case Told(line):
                if line not in told:  # all workers say what is to be said of what all of them open
                    console.write_line(line)
                if len(told) < _REMEMBERED:
                    told.add(line)
            case Failed(error):
                raise error


class _Supply:
    """Items for whoever asks next, with their places; no more are taken than may be under way at once."""

    def __init__(self, items: Iterable[Any], most: int) -> None:
        self._items, self._place, self._is_over = iter(items), 0, False
        self._lock, self._free = threading.Lock(), threading.Semaphore(most)

    def take(self, tell: Callable[[_Found], None]) -> tuple[int, Any] | None:
        """Place and item; after the last one None, and the end, or what went wrong, is told once."""
        self._free.acquire()
        with self._lock:
            place, self._place = self._place, self._place + 1
            if not self._is_over:
                try:
                    return place, next(self._items)
                except StopIteration:
                    tell(_Found(place, _End()))
                except Exception as error:
                    tell(_Found(place, Failed(error)))
                self._is_over = True
        self._free.release()
        return None

    def done(self) -> None:
        """One item fewer is under way."""
        self._free.release()

    def close(self) -> None:
        """Give no more; whoever waits for an item waits no longer. It is not waited for one that is being read."""
        self._is_over = True
        self._free.release()


@dataclass(frozen=True)
class _Worker:
    """A process, as its thread here sees it."""

    number: int
    process: BaseProcess
    connection: "Connection[Any, Outcome | Reported | Told]"
    when_short: str
    _waiting: threading.Lock = field(default_factory=threading.Lock)
    """Of two threads that wait for a process, one would be told that there is none before it is known how it ended."""

    def serve(self, supply: _Supply, tell: Callable[[_News], None]) -> None:
        """Have the process do items as long as there are any."""
        try:
            if isinstance(began := self._outcome(tell), Failed):
                tell(began)
                return
            while (taken := supply.take(tell)) is not None:
                place, item = taken
                self.connection.send(item)
                tell(_Found(place, self._outcome(tell)))
        except (EOFError, OSError):
            tell(Failed(self._failure()))
        except Exception as error:  # what was sent cannot be unpickled
            tell(Failed(error))

    def ended(self) -> int:
        """Wait for the end of the process; its exit code."""
        with self._waiting:
            self.process.join()
        return self.process.exitcode or 0

    def _outcome(self, tell: Callable[[Reported | Told], None]) -> Outcome:
        """What the process does next; meanwhile it may talk."""
        while isinstance(message := self.connection.recv(), Reported | Told):
            tell(message)
        return message

    def _failure(self) -> NmtError:
        code = self.ended()
        if code < 0:
            name = signal.Signals(-code).name
            return ResourceError(f"process {self.number} was killed by {name}; if memory was short, {self.when_short}")
        return NmtError(f"process {self.number} ended with exit code {code}")
