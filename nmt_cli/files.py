"""Atomic writes, hashes and manifests."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from nmt_cli.errors import DataError, NmtError, RecipeError, ResourceError

MANIFEST = "manifest.json"
_TEMPORARY = ".tmp"
_REPLACED = ".replaced.tmp"


def temporary(path: Path) -> Path:
    """Return the path at which a file or folder is written before it is renamed to `path`."""
    return path.with_name(path.name + _TEMPORARY)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise ResourceError if writing `path` fails."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ResourceError(
                f"{path}: no space left on the device; free some and run the same command again"
            ) from error
        raise ResourceError(f"{path}: cannot be written: {error.strerror or error}") from error


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Write a file atomically: it gets its name after all of it is on disk.

    The target of a symbolic link is replaced, not the link. Devices and pipes are written to directly.
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


def require_folder_of(path: Path) -> None:
    """Raise RecipeError if the folder that is to contain an output does not exist; its name may be misspelt."""
    if not path.parent.is_dir():
        raise RecipeError(f"{path}: the folder {path.parent} does not exist; create it, or name another file")


def open_append(path: Path) -> IO[bytes]:
    """Open a log file of a run, which is created if it is missing. Symbolic links are refused."""
    with disk_errors(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        return os.fdopen(descriptor, "ab", buffering=0)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Write a folder atomically: it replaces any older one after all of it is on disk."""
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
        _rename_into_place(unfinished, path)


def remove(path: Path) -> None:
    """Delete a file or folder if it exists. A manifest is deleted first, so that a partial folder is invalid."""
    with disk_errors(path):
        if path.is_dir() and not path.is_symlink():
            (path / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def remnants(path: Path) -> list[Path]:
    """Return what an interrupted write has left beside a folder: an unfinished folder, or the replaced one."""
    return [each for each in (temporary(path), path.with_name(path.name + _REPLACED)) if each.exists()]


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON atomically."""
    with new_file(path) as file:
        file.write(json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Return indented strict JSON, without NaN."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_json(path: Path, kind: type[NmtError] = DataError) -> Any:
    """Read JSON. Raise an error of class `kind` if that fails."""
    try:
        with _read_errors(path, kind):
            return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise kind(f"{path}: is not valid JSON: {error}") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class HashCache:
    """Cached SHA-256 of files. A file is hashed again only if its size, modification time or inode has changed."""

    def __init__(self, path: Path) -> None:
        self._path, self._is_changed = path, False
        try:
            cached = read_json(path)
        except NmtError:
            cached = {}
        self._entries: dict[str, Any] = cached if isinstance(cached, dict) else {}

    def of(self, path: Path) -> str:
        """Return the SHA-256 of a file, from the cache if possible."""
        entry = self._entries.get(str(path.resolve()))
        if isinstance(entry, list) and entry[:-1] == _fingerprint(path):
            return str(entry[-1])
        self.cache_hash(path, digest := sha256(path))
        return digest

    def cache_hash(self, path: Path, digest: str) -> None:
        """Cache the hash of a file for its present state."""
        self._entries[str(path.resolve())] = [*_fingerprint(path), digest]
        self._is_changed = True

    def save(self) -> None:
        """Save the cache if it has changed. Failure is ignored, as it only costs hashing again."""
        if self._is_changed:
            with suppress(NmtError):
                write_json(self._path, self._entries)


def _fingerprint(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


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
        kind: The manifest or a file is missing or damaged; the message names the first one.
    """
    manifest = read_json(folder / MANIFEST, kind)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise kind(f"{folder / MANIFEST}: is not an nmt manifest")
    for name, expected in manifest["files"].items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts or not path.is_file():
            raise kind(f"{path}: is missing, or is not a file")
        with _read_errors(path, kind):
            size, contents = path.stat().st_size, (hash_file or sha256)(path)
        if not isinstance(expected, dict):
            raise kind(f"{folder / MANIFEST}: has no size and hash of {name}; it is damaged")
        if size != expected.get("bytes"):
            raise kind(f"{path}: is damaged: {size} bytes instead of {expected.get('bytes')}")
        if contents != expected.get("sha256"):
            raise kind(f"{path}: is damaged: its SHA-256 does not match the manifest")
    return manifest


def _rename_into_place(unfinished: Path, path: Path) -> None:
    """Rename a finished folder to `path`. If that fails, restore the folder that was there."""
    aside = path.with_name(path.name + _REPLACED)
    try:
        remove(aside)
        if path.exists():
            path.rename(aside)  # renamed, not deleted, so that `path` is missing only for a moment
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
