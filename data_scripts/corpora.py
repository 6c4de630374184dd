"""Functions of the data scripts: reading text, writing corpora atomically, and one-line errors."""

import gzip
import hashlib
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path


class CorpusError(Exception):
    """A problem with the data. The message is one line with place, cause and remedy."""


def run(script: Callable[[], None]) -> None:
    """Run a script. A CorpusError is printed to stderr as one line, with exit code 3."""
    name = Path(sys.argv[0]).name
    try:
        script()
        sys.stdout.flush()
    except CorpusError as error:
        sys.exit(_print_error(f"{name}: error: {error}", 3))
    except BrokenPipeError:  # stdout was closed by its reader; Python must not flush it again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        sys.exit(_print_error(f"{name}: error: {error.filename}: {error.strerror}", 3))
    except KeyboardInterrupt:
        sys.exit(_print_error(f"{name}: stopped; nothing was written", 130))


def unpacked(content: bytes, name: str) -> bytes:
    """Return the text in the content of a file, which may be gzip."""
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise CorpusError(f"{name}: is damaged or incomplete: {error}") from error


def lines(text: bytes) -> list[bytes]:
    """Return the lines of a text. Only a line feed ends a line."""
    return text.removesuffix(b"\n").split(b"\n") if text else []


def sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def write(folder: Path, texts: dict[str, bytes]) -> None:
    """Write files by name, all of them or none, and print their numbers of lines and hashes."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = {folder / name: folder / f"{name}.tmp" for name in texts}
    try:
        for (path, temporary), text in zip(unfinished.items(), texts.values(), strict=True):
            if path.is_dir():
                raise CorpusError(f"{path}: is a directory, but a file belongs there")
            temporary.write_bytes(text)
        for path, temporary in unfinished.items():
            temporary.replace(path)
    finally:
        for temporary in unfinished.values():
            temporary.unlink(missing_ok=True)
    for path, text in zip(unfinished, texts.values(), strict=True):
        print(f"{path}  {len(lines(text)):,} lines  sha256 {sha256(text)}")


def _print_error(message: str, exit_code: int) -> int:
    print(message, file=sys.stderr)
    return exit_code
