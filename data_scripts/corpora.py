"""Functions of the data scripts: options, downloads, reading text, writing corpora atomically, and one-line errors."""

import argparse
import gzip
import hashlib
import http.client
import os
import sys
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

TIMEOUT_SECONDS = 60


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


def argument_parser(description: str | None, folder: str) -> argparse.ArgumentParser:
    """Return a parser with the option `--to`, whose default is a folder."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=Path(folder), metavar="DIR", help="output folder")
    return parser


def add_download_options(parser: argparse.ArgumentParser, files: str, home: str, place: str) -> None:
    """Add the options `--from`, a folder of the original files, and `--url`, a mirror of `home`."""
    parser.add_argument(
        "--from", type=Path, dest="folder", metavar="DIR", help=f"read {files} from this folder instead of downloading"
    )
    parser.add_argument("--url", default=home, help=f"URL of the folder {place} of a mirror")


def size(text: str) -> int:
    """Return the number of lines that an option asks for."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def download(url: str) -> bytes:
    """Return the content of a URL."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        reason = f"the server returned {error.code} {error.reason}"
    except urllib.error.URLError as error:
        reason = str(error.reason)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = str(error) or type(error).__name__
    raise CorpusError(
        f"{url}: cannot be downloaded ({reason}); "
        "try again later, or download the files yourself and pass their folder as --from"
    )


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


def joined(lines: Iterable[str]) -> bytes:
    """Return a text of lines."""
    return "".join(f"{line}\n" for line in lines).encode()


def sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def checked(content: bytes, name: str, expected: str) -> bytes:
    """Return the text in the content of a file. CorpusError if its hash is not the expected one."""
    text = unpacked(content, name)
    if (found := sha256(text)) != expected:
        raise CorpusError(f"{name}: is not the expected file: its text has the SHA-256 {found}, not {expected}")
    return text


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
