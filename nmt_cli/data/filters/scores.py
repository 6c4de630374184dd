"""The filters `language` and `score`, which rely on a command, an optional package, or scores in the corpus."""

import math
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from nmt_cli.data.arrays import Booleans
from nmt_cli.data.filters.duplicates import HeldOutKeys
from nmt_cli.data.reading.examples import Examples
from nmt_cli.errors import DataError, ResourceError
from nmt_cli.recipe.data import Data
from nmt_cli.recipe.filters import LanguageFilter, ScoreFilter
from nmt_cli.text.checks.scripts import base_language
from nmt_cli.text.language_id import line_identifier

_FASTTEXT_PREFIX = "__label__"
_MAX_STDERR = 300
"""Characters of a failed command's last line that a message quotes."""


class LanguageId:
    """Drops pairs with a side in another language, as a command or the optional identifier finds.

    Without a command, a side in a language that the identifier does not know is never dropped.
    """

    def __init__(self, settings: LanguageFilter, languages: tuple[str, str], held_out: HeldOutKeys) -> None:
        self.name = "language"
        self._command = settings.command
        self._codes = _checked_languages(settings, languages)
        self.description = f"a side is not in its language, {' and '.join(self._codes.values())}"

    def __call__(self, examples: Examples) -> Booleans:
        sides = {"source": examples.sources, "target": examples.targets}
        kept = np.ones(len(examples), np.bool_)
        if self._command is None:
            identifier = line_identifier()
            for side, code in self._codes.items():
                kept &= np.array([not identifier.other_language(line, code) for line in sides[side]], np.bool_)
            return kept
        lines = [line for side in self._codes for line in sides[side]]
        answers = run_command(_location(examples, self.name), self._command, lines)
        for number, code in enumerate(self._codes.values()):
            found = answers[number * len(examples) : (number + 1) * len(examples)]
            kept &= np.array([is_language(_first_word(line), code) for line in found], np.bool_)
        return kept


def _checked_languages(settings: LanguageFilter, languages: tuple[str, str]) -> dict[str, str]:
    """Return the expected code of each side that a filter checks."""
    codes = {"source": settings.source or languages[0], "target": settings.target or languages[1]}
    return {side: code for side, code in codes.items() if settings.sides in ("both", side)}


def unknown_languages(data: Data) -> list[str]:
    """Return the codes that filters should check and the identifier does not know.

    Raises:
        RecipeError: The identifier is needed and not installed.
    """
    settings = [each for each in data.filters if isinstance(each, LanguageFilter) and each.command is None]
    pairs = [data.languages_of(corpus) for corpus in data.train.values()]
    codes = [code for each in settings for pair in pairs for code in _checked_languages(each, pair).values()]
    return [code for code in dict.fromkeys(codes) if not line_identifier().knows(code)]


class QualityScore:
    """Drops pairs whose score is below the minimum or above the maximum."""

    def __init__(self, settings: ScoreFilter, languages: tuple[str, str], held_out: HeldOutKeys) -> None:
        self.name = "score"
        self._command = settings.command
        self._min = -math.inf if settings.min is None else settings.min
        self._max = math.inf if settings.max is None else settings.max
        below = "" if settings.min is None else f"below {settings.min:g}"
        above = "" if settings.max is None else f"above {settings.max:g}"
        self.description = f"its score is {' or '.join(filter(None, (below, above)))}"

    def __call__(self, examples: Examples) -> Booleans:
        texts = examples.columns.get("score") if self._command is None else self._ask(self._command, examples)
        if texts is None:  # a corpus without scores, such as a hand-made one, is kept
            return np.ones(len(examples), np.bool_)
        numbers = (self._parse(text, examples, index) for index, text in enumerate(texts))
        scores = np.fromiter(numbers, np.float64, len(examples))
        return np.asarray((scores >= self._min) & (scores <= self._max))

    def _ask(self, command: str, examples: Examples) -> list[str]:
        pairs = zip(examples.sources, examples.targets, strict=True)
        lines = ["\t".join(side.replace("\t", " ") for side in pair) for pair in pairs]
        return run_command(_location(examples, self.name), command, lines)

    def _parse(self, text: str, examples: Examples, index: int) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            origin = f"`{self._command}` printed" if self._command else "its score is"
            raise DataError(f"{examples.location(index)}: filter score: {origin} {text[:80]!r}, which is not a number")
        return number


@lru_cache(1024)
def is_language(found: str, wanted: str) -> bool:
    """Return whether a code matches: `deu` matches `de`, `pt` matches `pt_BR`, `zh_Hans` does not match `zh_Hant`."""
    if base_language(found) != base_language(wanted):
        return False
    found_suffix, wanted_suffix = (re.split("[-_]", code.lower())[1:] for code in (found, wanted))
    return not found_suffix or not wanted_suffix or found_suffix == wanted_suffix


def _first_word(line: str) -> str:
    return next(iter(line.split(None, 1)), "").removeprefix(_FASTTEXT_PREFIX)


def _location(examples: Examples, name: str) -> str:
    return f"data.filters: {name}" + (f": data.train.{examples.corpus}" if examples.corpus else "")


def run_command(where: str, command: str, lines: Sequence[str]) -> list[str]:
    """Return the line that a shell command prints for each line of its input.

    Raises:
        DataError: The command fails, or prints another number of lines. The message begins with `where`.
        ResourceError: The command cannot be started.
    """
    if not lines:
        return []
    printed = _communicate(where, command, "".join(f"{line}\n" for line in lines).encode())
    try:
        text = printed.decode()
    except UnicodeDecodeError as error:
        number = printed.count(b"\n", 0, error.start) + 1
        raise DataError(f"{where}: `{command}`: line {number:,} of its output is not UTF-8") from error
    answers = text.removesuffix("\n").split("\n") if text else []
    if len(answers) != len(lines):
        raise DataError(
            f"{where}: `{command}` printed {len(answers):,} lines for {len(lines):,}; it must print one for each"
        )
    return answers


def _communicate(where: str, command: str, given: bytes) -> bytes:
    """Return all that a command prints. Input is written while output is read, so that neither side blocks."""
    try:
        process = subprocess.Popen(
            command,
            shell=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that its own children can be killed with it
        )
    except OSError as error:
        raise ResourceError(f"{where}: `{command}` cannot be started: {error.strerror or error}") from error
    with process:
        try:
            printed, stderr = process.communicate(given)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        complaint = stderr.decode(errors="replace").strip().split("\n")[-1][-_MAX_STDERR:]
        code = process.returncode
        how = f"failed with exit code {code}" if code > 0 else f"was ended by signal {-code}"
        raise DataError(f"{where}: `{command}` {how}{f': {complaint}' if complaint else ''}")
    return printed
