"""Check for repeated words or characters, as in degenerate output."""

import re
from collections import Counter
from collections.abc import Sequence

from nmt_cli.text.checks import TranslationFinding

MAX_RUN_UNIT, MIN_RUN_COPIES = 6, 6
"""A run is a unit of up to 6 characters, repeated at least 6 times in a row."""
_RUN = re.compile(rf"(\S{{1,{MAX_RUN_UNIT}}}?)\1{{{MIN_RUN_COPIES - 1},}}")
_MAX_PERIOD = 12
"""Maximum number of words of a phrase that is repeated directly."""
_NGRAM_SIZE = 4
"""Number of words of a phrase that must not recur often, at any distance."""
_MAX_CHARACTERS_PER_SPACE = 12
"""A text with fewer spaces is checked by characters, not by words."""


def check_repetition(source: str, output: str) -> list[TranslationFinding]:
    """Find a phrase that is repeated more often than the source repeats anything."""
    return find_longer_run(source, output) or find_repeated_phrase(source, output)


def find_longer_run(source: str, output: str) -> list[TranslationFinding]:
    """Find a run that is longer, by more than one unit, than any run of the source."""
    run = _RUN.search(output)
    if run and len(run[0]) > max((len(other[0]) for other in _RUN.finditer(source)), default=0) + len(run[1]):
        return [TranslationFinding("loop", f"{run[1]!r} {len(run[0]) // len(run[1])} times in a row")]
    return []


def find_repeated_phrase(source: str, output: str) -> list[TranslationFinding]:
    """Find repeated words, or repeated characters of a text without spaces."""
    units = _units(output)
    num_repeated = len(units) - len(set(units))
    if num_repeated < 3 and 2 * num_repeated < len(units):
        return []  # too few for any of the findings below
    return _find_direct_repetition(_units(source), units) or _find_recurring_phrase(_units(source), units)


def _units(text: str) -> Sequence[str]:
    words = text.casefold().split()
    return words if len(text) <= _MAX_CHARACTERS_PER_SPACE * (len(words) + 1) else list("".join(words))


def _find_direct_repetition(source: Sequence[str], output: Sequence[str]) -> list[TranslationFinding]:
    """Find a phrase that follows itself: one word 4 times, several words 3 times, the whole output twice."""
    for period in range(1, min(_MAX_PERIOD, len(output) // 2) + 1):
        start, copies = _copies(output, period)
        min_copies = 2 if copies * period == len(output) else 4 if period == 1 else 3
        if copies >= min_copies and copies > _copies(source, period)[1]:
            phrase = " ".join(output[start : start + period])
            if any(map(str.isalnum, phrase)):
                return [TranslationFinding("loop", f"{phrase!r} {copies} times in a row")]
    return []


def _copies(words: Sequence[str], period: int) -> tuple[int, int]:
    """Return the start of the longest repetition with this period and its number of copies."""
    best, start, run = 0, 0, 0
    for index in range(period, len(words)):
        run = run + 1 if words[index] == words[index - period] else 0
        if run > best:
            best, start = run, index - run - period + 1
    return start, best // period + 1


def _find_recurring_phrase(source: Sequence[str], output: Sequence[str]) -> list[TranslationFinding]:
    """Find a phrase of 4 words that occurs at least 3 times, and more often than any does in the source."""
    phrase, count = _most_frequent(output)
    if count < 3 or count <= _most_frequent(source)[1]:
        return []
    return [TranslationFinding("loop", f"{phrase!r} {count} times")]


def _most_frequent(words: Sequence[str]) -> tuple[str, int]:
    counts = Counter(zip(*(words[offset:] for offset in range(_NGRAM_SIZE)), strict=False))
    (phrase, count), *_ = counts.most_common(1) or [((), 0)]
    return " ".join(phrase), count
