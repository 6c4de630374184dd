"""Several processes that answer windows as they come; the answers are given in the windows' order.

For each worker there is a thread here, which takes the next window, sends it, and passes on what comes back. So a
window that arrives is answered while others are still awaited. Nothing is shared but the queue of what threads hand
on to the main thread, which alone writes, talks, and raises.
"""

import multiprocessing
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Self

from nmt_cli import console
from nmt_cli.commands.translating.answering import Answer, Answering, Window
from nmt_cli.commands.translating.interruption import SIGNALS
from nmt_cli.commands.translating.worker import work
from nmt_cli.errors import LaunchedError, NmtError, ResourceError

_WAITING = 3
"""Windows for each worker that may be under way: one it has, the others wait for one before them to be answered."""

_REMEMBERED = 100
"""Lines that were told and are not told again."""


@dataclass(frozen=True)
class _Found:
    """The answer to a window, what went wrong when it was read, or that there is none any more (None)."""

    place: int
    result: Answer | Exception | None


class Workers:
    """Processes that answer; whatever happens, they end with the context, or with this process."""

    def __init__(self, opener: Callable[[int, int], Answering], count: int) -> None:
        self._opener, self._count = opener, count
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        # Signals are for this process, also those a terminal sends to all: its workers end with it. They are started
        # with signals blocked, and stay so. The tracker that comes with the first would unblock them.
        resource_tracker.ensure_running()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            for number in range(self._count):
                here, there = context.Pipe()
                process = context.Process(
                    target=work, args=(self._opener, number, self._count, there, console.is_quiet()), daemon=True
                )
                process.start()
                there.close()  # so that it is closed when the worker is gone
                self._workers.append(_Worker(number + 1, process, here))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers:
            worker.process.kill()  # they have nothing to save
        for worker in self._workers:
            worker.ended()

    def answers(self, windows: Iterable[Window], translated: Callable[[int], object]) -> Iterator[Answer]:
        """The answer to each window, in order; what a worker fails of, or reading, is raised here."""
        heard: queue.SimpleQueue[_Found | int | str | NmtError] = queue.SimpleQueue()
        supply = _Supply(windows, _WAITING * self._count)
        for worker in self._workers:
            threading.Thread(target=worker.serve, args=(supply, heard.put), daemon=True).start()
        found, place, told = dict[int, _Found](), 0, set[str]()
        while True:
            match heard.get():
                case int(sentences):
                    translated(sentences)
                case str(line):
                    if line not in told:  # all workers say what is to be said of a model
                        console.tell(line)
                    if len(told) < _REMEMBERED:
                        told.add(line)
                case NmtError() as error:
                    raise error
                case _Found() as one:
                    found[one.place] = one
            while place in found:
                result = found.pop(place).result
                if result is None:
                    return
                if isinstance(result, Exception):
                    raise result
                yield result
                supply.answered()
                place += 1


class _Supply:
    """Windows for whoever asks next, with their places; no more are taken than may be unanswered at once."""

    def __init__(self, windows: Iterable[Window], most: int) -> None:
        self._windows, self._place, self._is_over = iter(windows), 0, False
        self._lock, self._free = threading.Lock(), threading.Semaphore(most)

    def take(self, tell: Callable[[_Found], None]) -> tuple[int, Window] | None:
        """Place and window; after the last one None, and the end, or what went wrong, is told once."""
        self._free.acquire()
        with self._lock:
            place, self._place = self._place, self._place + 1
            if not self._is_over:
                try:
                    return place, next(self._windows)
                except StopIteration:
                    tell(_Found(place, None))
                except Exception as error:
                    tell(_Found(place, error))
                self._is_over = True
        self._free.release()
        return None

    def answered(self) -> None:
        """One window fewer is under way."""
        self._free.release()


@dataclass(frozen=True)
class _Worker:
    """A process, as its thread here sees it."""

    number: int
    process: BaseProcess
    connection: "Connection[Window, Answer | int | str | None]"
    _waiting: threading.Lock = field(default_factory=threading.Lock)
    """Of two threads that wait for a process, one would be told that there is none before it is known how it ended."""

    def serve(self, supply: _Supply, tell: Callable[[_Found | int | str | NmtError], None]) -> None:
        """Have the process answer windows as long as there are any."""
        try:
            self._result(tell)  # the model is loaded
            while (taken := supply.take(tell)) is not None:
                place, window = taken
                self.connection.send(window)
                tell(_Found(place, self._result(tell)))
        except (EOFError, OSError):
            tell(self._failure())

    def ended(self) -> int:
        """Wait for the end of the process; its exit code."""
        with self._waiting:
            self.process.join()
        return self.process.exitcode or 0

    def _result(self, tell: Callable[[int | str], None]) -> Answer | None:
        """What the process does next; meanwhile it may talk."""
        while isinstance(message := self.connection.recv(), int | str):
            tell(message)
        return message

    def _failure(self) -> NmtError:
        code = self.ended()
        if code < 0:
            return ResourceError(
                f"worker {self.number} was killed by {signal.Signals(-code).name}; if memory was short, "
                "lower --nproc or decoding.batch_tokens"
            )
        return LaunchedError(code or NmtError.exit_code)
