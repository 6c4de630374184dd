"""Words or characters said again and again."""

import re
from collections import Counter
from collections.abc import Sequence

from nmt_cli.text.checks.finding import Finding

LONGEST_UNIT, COPIES = 6, 6
"""A run is a unit of up to so many characters, at least so many times in a row."""
_RUN = re.compile(rf"(\S{{1,{LONGEST_UNIT}}}?)\1{{{COPIES - 1},}}")
_LONGEST_PERIOD = 12
"""Words of the longest phrase whose direct repetition is looked for."""
_GRAM = 4
"""Words of a phrase that must not come back often, however far apart."""
_UNSPACED = 12
"""With more characters than this for each space, a text is taken by characters, not by words."""


def loop(source: str, output: str) -> list[Finding]:
    """Finds a phrase that is repeated more often than the source repeats anything."""
    return longer_run(source, output) or repeated_phrase(source, output)


def longer_run(source: str, output: str) -> list[Finding]:
    """Characters again and again, in a longer run than any of the source."""
    run = _RUN.search(output)
    if run and len(run[0]) > max((len(other[0]) for other in _RUN.finditer(source)), default=0) + len(run[1]):
        return [Finding("loop", f"{run[1]!r} {len(run[0]) // len(run[1])} times in a row")]
    return []


def repeated_phrase(source: str, output: str) -> list[Finding]:
    """Words again and again, or characters of a text without spaces."""
    units = _units(output)
    spare = len(units) - len(set(units))
    if spare < 3 and 2 * spare < len(units):
        return []
    return _repeated(_units(source), units) or _returning(_units(source), units)


def _units(text: str) -> Sequence[str]:
    words = text.casefold().split()
    return words if len(text) <= _UNSPACED * (len(words) + 1) else list("".join(words))


def _repeated(source: Sequence[str], output: Sequence[str]) -> list[Finding]:
    """A phrase that follows itself: one word four times, several three times, and twice if that is all there is."""
    for period in range(1, min(_LONGEST_PERIOD, len(output) // 2) + 1):
        start, copies = _copies(output, period)
        least = 2 if copies * period == len(output) else 4 if period == 1 else 3
        if copies >= least and copies > _copies(source, period)[1]:
            phrase = " ".join(output[start : start + period])
            if any(map(str.isalnum, phrase)):
                return [Finding("loop", f"{phrase!r} {copies} times in a row")]
    return []


def _copies(words: Sequence[str], period: int) -> tuple[int, int]:
    """Where the longest repetition with this period begins, and how many copies it has."""
    best, start, run = 0, 0, 0
    for place in range(period, len(words)):
        run = run + 1 if words[place] == words[place - period] else 0
        if run > best:
            best, start = run, place - run - period + 1
    return start, best // period + 1


def _returning(source: Sequence[str], output: Sequence[str]) -> list[Finding]:
    """A phrase of four words that comes three times, and more often than any does in the source."""
    phrase, often = _most_frequent(output)
    if often < 3 or often <= _most_frequent(source)[1]:
        return []
    return [Finding("loop", f"{phrase!r} {often} times")]


def _most_frequent(words: Sequence[str]) -> tuple[str, int]:
    counts = Counter(zip(*(words[place:] for place in range(_GRAM)), strict=False))
    (phrase, often), *_ = counts.most_common(1) or [((), 0)]
    return " ".join(phrase), often
