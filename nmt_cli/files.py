"""Writing whole or not at all, hashes and manifests, locks."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from nmt_cli.errors import DataError, NmtError, ResourceError, RunInUseError

MANIFEST = "manifest.json"
_TEMPORARY = ".tmp"
_REPLACED = ".replaced.tmp"


def temporary(path: Path) -> Path:
    """Where a file or folder is written before it takes its name."""
    return path.with_name(path.name + _TEMPORARY)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write `path` into a message."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ResourceError(
                f"{path}: no space left to write it; free some and run the same command again"
            ) from error
        raise ResourceError(f"{path}: cannot be written: {error.strerror or error}") from error


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name only when all of it is on disk.

    Behind a link, the file it leads to is replaced; a device or pipe is written to as it is.
    """
    if path.is_dir():
        raise DataError(f"{path}: is a directory, not a file")
    if path.exists() and not path.is_file():
        with disk_errors(path), path.open("wb") as file:
            yield file
        return
    path = path.resolve() if path.is_symlink() else path
    unfinished = temporary(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
            _sync_folder(path.parent)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder that takes its name, in place of any older one, only when all of it is on disk."""
    unfinished = temporary(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(unfinished)
        unfinished.mkdir()
        try:
            yield unfinished
            _sync_tree(unfinished)
        except BaseException:
            remove(unfinished)
            raise
        _take_place(unfinished, path)


def remove(path: Path) -> None:
    """Delete a file or folder if there is one. A folder's manifest goes first, so no remainder is believed."""
    with disk_errors(path):
        if path.is_dir() and not path.is_symlink():
            (path / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def remnants(path: Path) -> list[Path]:
    """What a kill has left beside a folder: an unfinished one, or the one before."""
    return [each for each in (temporary(path), path.with_name(path.name + _REPLACED)) if each.exists()]


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON, whole or not at all."""
    with new_file(path) as file:
        file.write(json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Readable JSON that any parser accepts: no NaN."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_json(path: Path, kind: type[NmtError] = DataError) -> Any:
    """Read JSON; `kind` of error if it cannot be."""
    try:
        with _read_errors(path, kind):
            return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise kind(f"{path}: is not valid JSON: {error}") from error


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class HashCache:
    """SHA-256 of files, remembered in a file: one that has kept its size and time of change is not read again."""

    def __init__(self, path: Path) -> None:
        self._path, self._is_new = path, False
        try:
            known = read_json(path)
        except NmtError:
            known = {}
        self._known: dict[str, Any] = known if isinstance(known, dict) else {}

    def of(self, path: Path) -> str:
        """As `sha256`."""
        known = self._known.get(str(path.resolve()))
        if isinstance(known, list) and known[:-1] == _traits(path):
            return str(known[-1])
        self.cache_hash(path, found := sha256(path))
        return found

    def cache_hash(self, path: Path, found: str) -> None:
        """Remember the hash of a file as it is now."""
        self._known[str(path.resolve())] = [*_traits(path), found]
        self._is_new = True

    def save(self) -> None:
        """Write them down, if there are new ones and it can be done; without them, all is only read again."""
        if self._is_new:
            with suppress(NmtError):
                write_json(self._path, self._known)


def _traits(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def write_manifest(folder: Path, contents: dict[str, Any]) -> None:
    """Close a folder: its manifest, written last, names size and hash of each file in it."""
    files = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }
    write_json(folder / MANIFEST, {**contents, "files": files})


def read_manifest(folder: Path, kind: type[NmtError], hashed: Callable[[Path], str] | None = None) -> dict[str, Any]:
    """The manifest of a folder, after checking each file against it; `kind` of error names the first bad one."""
    manifest = read_json(folder / MANIFEST, kind)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise kind(f"{folder / MANIFEST}: is not a manifest of nmt")
    for name, expected in manifest["files"].items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts or not path.is_file():
            raise kind(f"{path}: is missing, or is no file")
        with _read_errors(path, kind):
            size, contents = path.stat().st_size, (hashed or sha256)(path)
        if not isinstance(expected, dict):
            raise kind(f"{folder / MANIFEST}: says nothing of {name}; it is damaged")
        if size != expected.get("bytes"):
            raise kind(f"{path}: has {size} bytes, but {expected.get('bytes')} were written; it is damaged")
        if contents != expected.get("sha256"):
            raise kind(f"{path}: is damaged (its contents do not match its SHA-256)")
    return manifest


@contextmanager
def lock(path: Path, shared: bool = False) -> Iterator[None]:
    """Hold `path` for this process alone, or with others that share it; the kernel lets go however they end."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    with file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            time.sleep(0.1)  # who has just got it will have written its name by then
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise RunInUseError(f"{path.parent}: is in use by {holder}; wait for it, or stop it") from error
        except OSError as error:
            raise ResourceError(f"{path}: cannot be locked on this file system: {error.strerror}") from error
        with disk_errors(path):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {os.uname().nodename}")
            file.flush()
        yield


def is_stale_lock(path: Path) -> bool:
    """Whether the process of this machine that wrote its name into a lock has ended; False if that is not known."""
    try:
        word, number, _, machine = path.read_text().split()
    except (OSError, ValueError):
        return False
    if word != "process" or machine != os.uname().nodename or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)  # asks, and does nothing to it
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _take_place(unfinished: Path, path: Path) -> None:
    """Give a finished folder its name; should that fail, all is as it was before it was begun."""
    aside = path.with_name(path.name + _REPLACED)
    try:
        remove(aside)
        if path.exists():
            path.rename(aside)  # deleting takes long; between these two renames a kill can hardly fall
        unfinished.rename(path)
    except BaseException:
        if aside.exists() and not path.exists():
            aside.rename(path)
        remove(unfinished)
        raise
    _sync_folder(path.parent)
    remove(aside)


@contextmanager
def _read_errors(path: Path, kind: type[NmtError]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise kind(f"{path}: cannot be read: {error.strerror or error}") from error


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            _sync_folder(path)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
