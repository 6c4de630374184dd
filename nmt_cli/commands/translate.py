"""`nmt translate`: lines of text through a model, from file or stdin to file or stdout."""

import io
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from nmt_cli import console, files
from nmt_cli.commands.results import stdout
from nmt_cli.commands.translators import TranslatorOptions, open_translator
from nmt_cli.decoding.formats import FORMATS
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.summary import Summary
from nmt_cli.decoding.translator import Translator
from nmt_cli.decoding.windows import arriving, windows
from nmt_cli.errors import RecipeError
from nmt_cli.text.lines import decode_lines, open_text

Format = Literal["text", "nbest", "jsonl", "tsv"]


def translate(
    options: TranslatorOptions,
    input: Path | None = None,
    output: Path | None = None,
    format: Format = "text",
) -> None:
    """Translate each line of `input` (None: stdin) into `output` (None: stdout), a file whole or not at all."""
    _check_paths(input, output)
    with _reading(input) as (source, name):
        translator = open_translator(options)
        started = time.monotonic()
        with _writing(output) as target, _progress(output) as translated:
            lines = translate_stream(translator, source, target, format, name, translated)
    seconds = time.monotonic() - started
    console.say(f"translated {lines:,} lines in {console.duration(seconds)}: {lines / max(seconds, 1e-3):,.1f} lines/s")


def translate_stream(
    translator: Translator,
    source: IO[bytes],
    target: IO[bytes],
    format: Format = "text",
    name: str = "input",
    translated: Callable[[int], object] = lambda sentences: None,
) -> int:
    """Translate a binary stream into another and count its lines; those that have arrived are not kept waiting."""
    write, invalid, number, summary = FORMATS[format], list[int](), 0, Summary()
    cut = windows if _is_file(source) else arriving
    for window in cut(map(Request, decode_lines(source, name, invalid.append))):
        translations = translator.translate_window(window, number + 1, translated)
        answer = "".join(write(place, translation) for place, translation in enumerate(translations, number))
        target.write(answer.encode())
        target.flush()
        number += len(window)
        summary += Summary.of(translations)
    if invalid:
        others = f" and {len(invalid) - 1:,} other lines" if len(invalid) > 1 else ""
        console.warn(f"{name}: line {invalid[0]}{others}: not UTF-8; what is not was read as U+FFFD")
    for warning in summary.warnings():
        console.warn(warning)
    return number


def _is_file(stream: IO[bytes]) -> bool:
    """Whether all lines are there already; then windows, and so the bytes that come out, do not depend on time."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except OSError:  # bytes in memory, as in tests
        return True


def _check_paths(input: Path | None, output: Path | None) -> None:
    """Refuse, before any work, what would destroy the input."""
    if output is None:
        return
    if output.is_dir():
        raise RecipeError(f"{output}: is a directory; name a file for the translations")
    if input is not None and output.is_file() and input.exists() and output.samefile(input):
        raise RecipeError(f"{output}: is the input too; name another file for the translations")


@contextmanager
def _reading(path: Path | None) -> Iterator[tuple[IO[bytes], str]]:
    """A binary stream, and its name in messages."""
    if path is not None:
        with open_text(path) as stream:
            yield stream, str(path)
        return
    if sys.stdin is None:
        raise RecipeError("stdin is closed; name a file with --input")
    if sys.stdin.isatty():
        console.say("reading lines from the terminal; Ctrl-D ends them")
    yield _unshared(sys.stdin.buffer), "stdin"


def _unshared(stream: IO[bytes]) -> IO[bytes]:
    """The same input behind another buffer: Python, when it exits, must not wait for a thread that reads stdin."""
    try:
        return io.BufferedReader(io.FileIO(stream.fileno(), closefd=False))
    except io.UnsupportedOperation:  # not a file, as in tests
        return stream


@contextmanager
def _progress(output: Path | None) -> Iterator[Callable[[int], object]]:
    """What to tell of each batch; no bar where the translations themselves go to a terminal."""
    if output is None and sys.stdout is not None and sys.stdout.isatty():
        yield lambda sentences: None
        return
    with console.Progress("translating", "lines") as progress:
        yield progress.advance


@contextmanager
def _writing(path: Path | None) -> Iterator[IO[bytes]]:
    """A file that appears when it is complete; stdout, pipes and devices are written through."""
    if path is None:
        with stdout() as stream:
            yield stream
    elif path.is_relative_to("/dev"):  # such as /dev/stdout, behind which may be a file that is open already
        with files.disk_errors(path), path.open("wb") as stream:
            yield stream
    else:
        with files.new_file(path) as stream:
            yield stream
