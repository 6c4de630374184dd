"""Start a command in several processes with torch's launcher, and stop a process cleanly on a signal."""

import logging
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from nmt_cli.console import Reporter
from nmt_cli.devices import divide_threads, is_rank
from nmt_cli.errors import ResourceError, WorkerFailedError

_SHUTDOWN_TIMEOUT = 30
"""Seconds that processes have to save and exit after they were asked to stop."""
_SECONDARY_FAILURES = {ResourceError.exit_code: 1, -signal.SIGTERM: 2}
"""Exit codes of ranks that end only because another has failed (lost contact, stopped by the launcher), by priority."""
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def launch(num_processes: int, arguments: Sequence[str]) -> None:
    """Run nmt with these arguments once per rank.

    Raises:
        WorkerFailedError: A rank failed and has printed why. The error carries its exit code.
        ResourceError: A rank was killed by a signal.
    """
    logging.disable(logging.ERROR)  # torch's launcher reports failures in many lines; the error below suffices
    divide_threads(num_processes)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        monitor_interval=0.1,
        shutdown_timeout=_SHUTDOWN_TIMEOUT,
    )
    try:
        elastic_launch(config, sys.executable)("-P", "-m", "nmt_cli", *arguments)
    except SignalException as stopped:
        raise WorkerFailedError(128 + int(stopped.sigval)) from stopped
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        rank = min(codes, key=lambda rank: (_SECONDARY_FAILURES.get(codes[rank], 0), rank))
        exit_code = codes[rank]
        if exit_code < 0:
            name = signal.Signals(-exit_code).name
            raise ResourceError(
                f"rank {rank} was killed by {name}, and the other ranks have ended;"
                " rerun the same command to resume from the last checkpoint"
            ) from error
        raise WorkerFailedError(exit_code) from error


@contextmanager
def catch_stop_signals(reporter: Reporter) -> Iterator[Callable[[], signal.Signals | None]]:
    """Record the first SIGTERM, SIGINT or SIGHUP instead of ending the process; a second one ends it at once.

    Yields a function that returns the recorded signal, if any. A rank whose launcher is gone reports SIGTERM, because
    nothing else would stop it. Outside of the main thread, which alone receives signals, nothing changes.
    """
    received: list[signal.Signals] = []
    parent = os.getppid()
    # Signals ignored by the parent process stay ignored: hangups under nohup, Ctrl-C in the background.
    is_main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in _STOP_SIGNALS if is_main}
    handlers = {number: handler for number, handler in handlers.items() if handler != signal.SIG_IGN}

    def record(number: int, _frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        for each in handlers:
            signal.signal(each, signal.SIG_DFL)
        again = "; press Ctrl-C again to stop at once" if number == signal.SIGINT else ""
        reporter.info(f"stopping after this update{again}")

    def first_signal() -> signal.Signals | None:
        if not received and is_rank() and os.getppid() != parent:
            received.append(signal.SIGTERM)
        return received[0] if received else None

    for number in handlers:
        signal.signal(number, record)
    try:
        yield first_signal
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
