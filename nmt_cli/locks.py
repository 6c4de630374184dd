"""Lock files, which name the process that holds them."""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from nmt_cli import console, files
from nmt_cli.errors import DataError, RunInUseError

_HOLDER, _MAX_HOLDER_BYTES = re.compile(rb"process ([0-9]{1,9}) on (\S+)\s*"), 300
"""Contents of a lock file."""


@contextmanager
def lock(path: Path, shared: bool = False) -> Iterator[None]:
    """Hold a lock file, exclusively or shared. The kernel releases it when the process ends in any way.

    Raises:
        RunInUseError: Another process holds it.
        DataError: The path is a file that is not a lock file.
    """
    with files.disk_errors(path):
        files.target_of(path.parent).mkdir(parents=True, exist_ok=True)
        descriptor = files.open_own(path, os.O_RDWR)
    try:
        with files.disk_errors(path):
            _lock_or_raise(path, descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {os.uname().nodename}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def check_free(path: Path) -> None:
    """Raise the errors of an exclusive `lock`, without creating or changing the file and without holding it.

    A file that cannot be opened counts as free.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    try:
        with files.disk_errors(path):
            _lock_or_raise(path, descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


@contextmanager
def lock_when_free(path: Path, waiting: str) -> Iterator[None]:
    """Hold a lock file exclusively, and wait until it is free; `waiting` is then reported once."""
    with ExitStack() as stack:
        has_waited = False
        while True:
            try:
                stack.enter_context(lock(path))
                break
            except RunInUseError:
                if not has_waited:
                    console.info(waiting)
                has_waited = True
                time.sleep(1)
        yield


@dataclass(frozen=True)
class LockHolder:
    """The process that holds a lock."""

    process_id: int
    host: str

    @property
    def is_local(self) -> bool:
        """Whether the process runs on this machine."""
        return self.host == os.uname().nodename

    def __str__(self) -> str:
        return f"process {self.process_id} on {self.host}"


def lock_holder(path: Path) -> LockHolder | None:
    """Return the process that holds a lock exclusively, or None. A process named on another machine is believed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        found = _HOLDER.fullmatch(_read(descriptor))
        holder = LockHolder(int(found[1]), found[2].decode()) if found else None
        is_free = (holder is None or holder.is_local) and _try_lock(descriptor, fcntl.LOCK_SH)
        return None if is_free else holder
    except (OSError, UnicodeDecodeError):
        return None
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> bytes:
    return os.pread(descriptor, _MAX_HOLDER_BYTES, 0)


def _lock_or_raise(path: Path, descriptor: int, operation: int) -> None:
    """Lock an open file. Raises DataError if it is not a lock file, and RunInUseError if another process holds it."""
    if (content := _read(descriptor)) and not _HOLDER.fullmatch(content):
        raise DataError(f"{path}: is not a lock file of nmt, which needs this name; rename it")
    if _try_lock(descriptor, operation):
        return
    time.sleep(0.1)  # others hold it for a moment to look at it, and a new holder needs one to write its name
    if not _try_lock(descriptor, operation):
        holder = _read(descriptor).decode(errors="replace").strip() or "another process"
        locked = path.parent if path.name == ".lock" else path.with_suffix("")
        raise RunInUseError(f"{locked}: is in use by {holder}; wait for it or stop it")


def _try_lock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
