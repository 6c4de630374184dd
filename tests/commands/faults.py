"""What can befall a process that writes files: killed, refused by the disk, or without room."""

import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any


class Dying:
    """Kills this process instead of its n-th operation that changes a file of a folder."""

    def __init__(self, folder: Path, operation: int) -> None:
        self._folder, self._left = str(folder.resolve()), operation
        sys.addaudithook(self._on_event)
        self._fsync, os.fsync = os.fsync, self._dying_fsync

    def _on_event(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
            if writes and isinstance(path, str | os.PathLike) and self._folder in str(Path.cwd() / path):
                self._count()
        elif event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            self._count()

    def _dying_fsync(self, descriptor: int) -> None:
        self._count()
        self._fsync(descriptor)

    def _count(self) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


class Refusing:
    """The operating system refuses the n-th operation that changes a file, with an error."""

    def __init__(self, number: int, operation: int) -> None:
        self._number, self._left = number, operation
        sys.addaudithook(self._on_event)
        self._fsync, os.fsync = os.fsync, self._refusing_fsync

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("os.rename", "os.remove", "os.rmdir") or (event == "os.mkdir" and not Path(arguments[0]).exists()):
            self._count()

    def _refusing_fsync(self, descriptor: int) -> None:
        self._count()
        self._fsync(descriptor)

    def _count(self) -> None:
        self._left -= 1
        if not self._left:
            raise OSError(self._number, os.strerror(self._number))


def room_for(largest: int) -> None:
    """No file may become larger."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))


def room_from(name: str, largest: int) -> None:
    """As soon as a file of this name is begun, no file may become larger."""

    def limit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]).endswith(f"{name}.tmp"):
            room_for(largest)

    sys.addaudithook(limit)
