"""Atomic writes, regular files, hashes and manifests.

A file or folder is written under a unique name beside its target and renamed when it is on disk. Its writer locks it;
one that is not locked was left by a killed process, and the next writer of the same target removes it. Symbolic links
are replaced, not followed; `target_of` follows one.
"""

import errno
import fcntl
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from nmt_cli.errors import DataError, NmtError, RecipeError, ResourceError

MANIFEST = "manifest.json"
_TEMPORARY = re.compile(r".*\.nmt-[0-9a-f]{8}\.tmp", re.DOTALL)
_SUFFIX_LENGTH = len(".nmt-01234567.tmp")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise ResourceError if writing `path` fails."""
    try:
        yield
    except OSError as error:
        cause = f"cannot be written: {error.strerror or error}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            cause = "no space left on the device; free some and run the same command again"
        raise ResourceError(f"{path}: {cause}") from error


@contextmanager
def read_errors(path: Path, kind: type[NmtError]) -> Iterator[None]:
    """Raise an error of class `kind` if reading `path` fails."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise  # not a fault of this file
        raise kind(f"{path}: cannot be read: {error.strerror or error}") from error


def target_of(path: Path) -> Path:
    """Return the target of a symbolic link, which stays when its target is replaced; any other path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Write a file atomically: it gets its name after all of it is on disk."""
    if path.is_dir() and not path.is_symlink():
        raise DataError(f"{path}: is a directory, not a file")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _unfinished(path, is_folder=False) as (unfinished, descriptor):
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                yield file
            os.fsync(descriptor)
            unfinished.replace(path)
        _sync(path.parent)


def beside(path: Path, ending: str) -> Path:
    """Return the path with `ending` added to its name; for `.` or `..`, to that of the folder that it stands for.

    Raises:
        RecipeError: The path is the root folder, or the ending contains a slash.
    """
    named = path if path.name not in ("", "..") else path.resolve()
    if not named.name or "/" in ending:
        raise RecipeError(f"{path}: a name beside it cannot end in {ending}; choose another")
    return named.with_name(f"{named.name}{ending}")


def require_folder_of(path: Path) -> None:
    """Raise RecipeError if the folder that is to contain an output file does not exist; its name may be misspelt."""
    if not path.parent.is_dir():
        raise RecipeError(f"{path}: the folder {path.parent} does not exist; create it, or name another file")


@contextmanager
def output_file(path: Path) -> Iterator[IO[bytes]]:
    """Write to a path that the user gave: links are followed, and devices and pipes are written to directly."""
    is_device = path.is_relative_to("/dev") and not path.is_relative_to("/dev/shm")  # /dev/stdout may be an open file
    if is_device or (path.exists() and not path.is_file() and not path.is_dir()):
        with disk_errors(path), path.open("wb") as file:
            yield file
    else:
        with new_file(target_of(path)) as file:
            yield file


def require_name(path: Path) -> None:
    """Raise RecipeError if a folder to write is `.` or the like, which cannot be replaced."""
    if path.name in ("", ".."):
        raise RecipeError(f"{path}: is the folder {path.resolve()}, which cannot be replaced; name a new folder")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Write a folder atomically: it replaces any older one after all of it is on disk."""
    require_name(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _unfinished(path, is_folder=True) as (unfinished, _):
            yield unfinished
            for each in [*unfinished.rglob("*"), unfinished]:
                _sync(each)
            _rename_into_place(unfinished, path)


def open_own(path: Path, flags: int) -> int:
    """Open or create a regular file for changing it in place; return its descriptor. Links and devices are refused."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise DataError(f"{path}: is not a regular file, so nothing is written to it; remove it")
    return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)


def open_append(path: Path) -> IO[bytes]:
    """Open a log file, which is created if it is missing, without a buffer."""
    with disk_errors(path):
        return os.fdopen(open_own(path, os.O_WRONLY | os.O_APPEND), "ab", buffering=0)


def remove(path: Path) -> None:
    """Delete a file or folder if it exists. A manifest is deleted first, so that a partial folder is invalid."""
    with disk_errors(path), suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            (path / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(path)
        else:
            path.unlink()


def leftovers(folder: Path, name: str | None = None) -> list[Path]:
    """Return the temporary files and folders in a folder: those of a target, or all."""
    prefix = "" if name is None else unique_name(folder / name).name[:-_SUFFIX_LENGTH]
    temporary = (path for path in folder.glob("*.tmp") if _TEMPORARY.fullmatch(path.name))
    return [path for path in temporary if prefix in ("", path.name[:-_SUFFIX_LENGTH])]


def unique_name(path: Path) -> Path:
    """Return a new temporary name beside `path`."""
    name = os.fsencode(path.name)[: 255 - _SUFFIX_LENGTH]
    return path.with_name(f"{os.fsdecode(name)}.nmt-{secrets.token_hex(4)}.tmp")


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON atomically."""
    with new_file(path) as file:
        file.write(json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Return indented strict JSON, without NaN."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading. OSError if it is a device or a pipe, which is not opened."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    return io.BufferedReader(io.FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)))


def read_bytes(path: Path, kind: type[NmtError] = DataError, max_bytes: int = 256 * 2**20) -> bytes:
    """Return the contents of a regular file. Raise an error of class `kind` if that fails, or if it is too large."""
    with read_errors(path, kind), open_regular(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > max_bytes:
            raise kind(f"{path}: has {size:,} bytes, more than the {max_bytes:,} that such a file can have")
        return file.read()


def read_json(path: Path, kind: type[NmtError] = DataError) -> Any:
    """Read JSON in UTF-8 that could be written again. Raise an error of class `kind` if that fails."""
    content = read_bytes(path, kind)
    try:
        value = json.loads(content.decode())
        json_bytes(value)  # raises for NaN, infinity and lone surrogates
    except (ValueError, RecursionError) as error:
        raise kind(f"{path}: is not valid JSON: {error}") from error
    return value


def sha256(path: Path) -> str:
    """Return the SHA-256 of a regular file in hexadecimal. OSError if it cannot be read."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, contents: dict[str, Any]) -> None:
    """Write the manifest of a complete folder: `contents`, and size and hash of each file."""
    files = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }
    write_json(folder / MANIFEST, {**contents, "files": files})


def read_manifest(folder: Path, kind: type[NmtError], hash_file: Callable[[Path], str] | None = None) -> dict[str, Any]:
    """Return the manifest of a folder after verifying every file against it.

    Raises:
        kind: The manifest or a file is missing, damaged or outside the folder; the message names the first one.
    """
    manifest = read_json(folder / MANIFEST, kind)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise kind(f"{folder / MANIFEST}: is not an nmt manifest")
    for name, expected in manifest["files"].items():
        path = folder / name
        if not isinstance(expected, dict):
            raise kind(f"{folder / MANIFEST}: has no size and hash of {name}; it is damaged")
        with read_errors(path, kind):
            if "\0" in name or not Path(os.path.realpath(path)).is_relative_to(folder.resolve()) or not path.is_file():
                raise kind(f"{path}: is missing, or is not a file in this folder")
            if (size := path.stat().st_size) != expected.get("bytes"):
                raise kind(f"{path}: is damaged: {size} bytes instead of {expected.get('bytes')}")
            if (hash_file or sha256)(path) != expected.get("sha256"):
                raise kind(f"{path}: is damaged: its SHA-256 does not match the manifest")
    return manifest


@contextmanager
def _unfinished(path: Path, is_folder: bool) -> Iterator[tuple[Path, int]]:
    """Create and lock a temporary file or folder; yield it and its descriptor. It is removed unless it was renamed."""
    for leftover in leftovers(path.parent, path.name):
        _remove_unless_locked(leftover)
    while True:
        unfinished = unique_name(path)
        if is_folder:
            unfinished.mkdir()
        try:
            flags = os.O_DIRECTORY if is_folder else os.O_RDWR | os.O_CREAT | os.O_EXCL
            descriptor = os.open(unfinished, flags | os.O_NOFOLLOW, 0o666)
        except FileNotFoundError:
            if not is_folder:  # then the parent folder is missing, or like /proc
                raise
            continue  # another process took it for a leftover
        with suppress(OSError):  # a file system without locks, where no process removes leftovers
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            break
        os.close(descriptor)
    try:
        yield unfinished, descriptor
    finally:
        remove(unfinished)
        os.close(descriptor)


def _remove_unless_locked(leftover: Path) -> None:
    with suppress(OSError, ResourceError):
        descriptor = os.open(leftover, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(leftover)
        finally:
            os.close(descriptor)


def _rename_into_place(unfinished: Path, path: Path) -> None:
    """Rename a finished folder to `path`. If that fails, restore the folder that was there."""
    aside = unique_name(path)
    try:
        while True:
            with suppress(FileNotFoundError):
                path.rename(aside)  # renamed, not deleted, so that `path` is missing only for a moment
            try:
                unfinished.rename(path)
                break
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            remove(aside)  # another process has renamed its folder in the meantime
            aside = unique_name(path)  # another process may still be removing the last one
    except BaseException:
        if aside.exists() and not path.exists():
            aside.rename(path)
        raise
    _sync(path.parent)
    remove(aside)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
