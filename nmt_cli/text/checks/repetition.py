"""Check for repeated words or characters, as in degenerate output.

A text is a sequence of units: words, or grapheme clusters in a script without spaces. Each distinct unit becomes one
character of a string, in which regular expressions find repetitions of units of any kind:

    Ein Mann geht und geht und geht     ABCDCDC
    เขาไปเขาไปเขาไป                     ABCDEABCDEABCDE

A cluster says less than a word, so more of them must be repeated. A repetition is reported only if the source repeats
nothing as often, in its own units.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from nmt_cli.text.checks import TranslationFinding
from nmt_cli.text.word_boundaries import character_class, words

MAX_RUN_UNIT, MIN_RUN_COPIES = 6, 6
"""A run is a unit of up to 6 characters, repeated at least 6 times in a row."""
_RUN = re.compile(rf"(\S{{1,{MAX_RUN_UNIT}}}?)\1{{{MIN_RUN_COPIES - 1},}}")
_LONG_WORD, _REPEATED_PART = re.compile(r"\S{28,}"), re.compile(r"(\S{7,24}?)\1{3,}")
"""A part of a long word, 4 times in a row. The parts of a German number recur, but not so often in a row."""


@dataclass(frozen=True)
class _Repetitions:
    """Which repetitions are errors, in a text of one kind of unit."""

    direct: re.Pattern[str]
    """A phrase that follows itself too often, or that is the whole text, twice."""
    phrase_length: int
    """Units of a phrase that must not occur three times, at any distance."""
    separator: str
    """Between the units of a phrase, in messages."""


_OF_WORDS = _Repetitions(re.compile(r"(.)\1{3,}|(.{2,12}?)\2{2,}|^(.{1,12})\3$"), 4, " ")
_OF_CLUSTERS = _Repetitions(re.compile(r"(.)\1{7,}|(..)\2{3,}|(.{3,40}?)\3{2,}|^(.{3,40})\4$"), 10, "")
_MIN_RECURRENCES, _MIN_PHRASE_CHARACTERS = 3, 10
"""A phrase of function words may recur: Tahitian `i ni'a i te`, on the."""
_ANY = re.compile(r"(.{1,40}?)\1+")


def _units(text: str) -> list[str]:
    return words(text.casefold().replace("-", ""))  # Indonesian hati-hati is one word


class _Units:
    """Units of a text as a string, with one character for each; equal units have equal characters."""

    def __init__(self, found: Sequence[str]) -> None:
        characters = {unit: chr(0x100 + index) for index, unit in enumerate(dict.fromkeys(found))}
        self.codes = "".join(map(characters.__getitem__, found))
        self._texts = list(characters)
        num_clusters = sum(character_class(unit[0]) == "unspaced" for unit in found)
        self.repetitions = _OF_WORDS if 2 * num_clusters <= len(found) else _OF_CLUSTERS

    def max_copies(self) -> int:
        """Return how often the phrase that most often follows itself occurs in a row, however short it is."""
        found = chain(_ANY.finditer(self.codes), self.repetitions.direct.finditer(self.codes))
        return max((_num_copies(each) for each in found), default=1)

    def recurring_phrase(self) -> tuple[str, int]:
        """Return the phrase that occurs most often of those that must not recur, and how often; 0 if there is none."""
        length = self.repetitions.phrase_length
        counts = Counter(self.codes[start : start + length] for start in range(len(self.codes) - length + 1))
        for codes, count in counts.most_common():
            if count < _MIN_RECURRENCES:
                break
            if sum(len(self._texts[ord(code) - 0x100]) for code in codes) >= _MIN_PHRASE_CHARACTERS:
                return self.phrase(codes), count
        return "", 0

    def phrase(self, codes: str) -> str:
        """Return a phrase as text."""
        return self.repetitions.separator.join(self._texts[ord(code) - 0x100] for code in codes)


def _num_copies(found: re.Match[str]) -> int:
    return len(found[0]) // len(found[found.lastindex or 0])


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
    """Find repeated words, parts of a long word, or clusters of a text without spaces."""
    part = _repeated_part(output)
    if part and not _repeated_part(source):
        return [TranslationFinding("loop", f"{part[1]!r} {_num_copies(part)} times in a row")]
    found = _units(output)
    num_repeated = len(found) - len(set(found))
    if num_repeated < 3 and 2 * num_repeated < len(found):
        return []  # too few for any of the findings below
    units = _Units(found)
    direct = max(units.repetitions.direct.finditer(units.codes), key=_num_copies, default=None)
    recurring, count = units.recurring_phrase()
    if not (direct or count):
        return []
    original = _Units(_units(source))
    if direct and _num_copies(direct) > original.max_copies():
        phrase = units.phrase(direct[direct.lastindex or 0])
        return [TranslationFinding("loop", f"{phrase!r} {_num_copies(direct)} times in a row")]
    if count > original.recurring_phrase()[1]:
        return [TranslationFinding("loop", f"{recurring!r} {count} times")]
    return []


def _repeated_part(text: str) -> re.Match[str] | None:
    return next(filter(None, map(_REPEATED_PART.search, _LONG_WORD.findall(text.casefold()))), None)
