"""Fault injection: kill a process while it writes, or make the disk fail or full."""

import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any


class KillAtOperation:
    """Kills this process instead of its n-th operation that modifies a folder."""

    def __init__(self, folder: Path, operation: int) -> None:
        self._folder, self._remaining = str(folder.resolve()), operation
        sys.addaudithook(self._on_event)
        self._fsync, os.fsync = os.fsync, self._counting_fsync

    def _on_event(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
            if writes and isinstance(path, str | os.PathLike) and self._folder in str(Path.cwd() / path):
                self._count()
        elif event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            self._count()

    def _counting_fsync(self, descriptor: int) -> None:
        self._count()
        self._fsync(descriptor)

    def _count(self) -> None:
        self._remaining -= 1
        if not self._remaining:
            os.kill(os.getpid(), signal.SIGKILL)


class FailAtOperation:
    """Makes the n-th operation that modifies files fail with an error code."""

    def __init__(self, error_code: int, operation: int) -> None:
        self._error_code, self._remaining = error_code, operation
        sys.addaudithook(self._on_event)
        self._fsync, os.fsync = os.fsync, self._counting_fsync

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("os.rename", "os.remove", "os.rmdir") or (event == "os.mkdir" and not Path(arguments[0]).exists()):
            self._count()

    def _counting_fsync(self, descriptor: int) -> None:
        self._count()
        self._fsync(descriptor)

    def _count(self) -> None:
        self._remaining -= 1
        if not self._remaining:
            raise OSError(self._error_code, os.strerror(self._error_code))


def limit_file_size(max_bytes: int) -> None:
    """Limit the size of every file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, resource.RLIM_INFINITY))


def limit_file_size_after_opening(name: str, max_bytes: int) -> None:
    """Limit the size of every file once a file of this name is opened."""

    def limit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and f"{name}.nmt-" in str(arguments[0]):
            limit_file_size(max_bytes)

    sys.addaudithook(limit)
