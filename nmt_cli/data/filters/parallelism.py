"""Filters that drop pairs whose sides cannot be translations of each other, by length, script, copies or repetition."""

import re
from collections.abc import Set

import numpy as np

from nmt_cli.data.arrays import Booleans, Integers
from nmt_cli.data.filters.duplicates import HeldOutKeys
from nmt_cli.data.reading.examples import Examples
from nmt_cli.recipe.filters import (
    IdenticalFilter,
    LengthFilter,
    RatioFilter,
    RepeatsFilter,
    ScriptFilter,
    UnmatchedFilter,
)
from nmt_cli.text.checks.checker import CJK_WEIGHT, is_far_longer
from nmt_cli.text.checks.preserved import check_numbers, check_preserved, without_preserved
from nmt_cli.text.checks.repetition import MAX_RUN_UNIT, MIN_RUN_COPIES, find_longer_run, find_repeated_phrase
from nmt_cli.text.checks.scripts import base_language, script_of, scripts_of
from nmt_cli.text.normalization import is_blank
from nmt_cli.text.word_boundaries import words


class Empty:
    """Drops pairs with a side without visible characters."""

    name = "empty"
    description = "a side is empty"

    def __init__(self, is_monolingual: bool = False) -> None:
        """`is_monolingual`: sources are always empty."""
        self._is_monolingual = is_monolingual

    def __call__(self, examples: Examples) -> Booleans:
        is_kept = _is_visible(examples.targets)
        return is_kept if self._is_monolingual else is_kept & _is_visible(examples.sources)


def _is_visible(lines: list[str]) -> Booleans:
    """Return which lines are not blank. Fast for lines that begin with a visible ASCII character, as most do."""
    return np.array(["!" <= line < "\x7f" or not is_blank(line) for line in lines], np.bool_)


class Length:
    """Drops pairs with a side of too few or too many characters."""

    def __init__(self, settings: LengthFilter, languages: tuple[str, str], held_out: HeldOutKeys) -> None:
        self.name = "length"
        self._min, self._max = settings.min, settings.max
        fewer = f"less than {self._min:,} or " if self._min > 1 else ""
        self.description = f"a side has {fewer}more than {self._max:,} characters"

    def __call__(self, examples: Examples) -> Booleans:
        sources, targets = examples.lengths
        shorter, longer = np.minimum(sources, targets), np.maximum(sources, targets)
        return np.asarray((shorter >= self._min) & (longer <= self._max))


class Ratio:
    """Drops pairs in which one side is much longer than the other."""

    def __init__(self, settings: RatioFilter, languages: tuple[str, str], held_out: HeldOutKeys) -> None:
        self.name = "ratio"
        self._max, self._tolerance = settings.max, settings.tolerance
        self.description = f"a side is more than {self._max:g} times as long as the other"

    def __call__(self, examples: Examples) -> Booleans:
        sources, targets = examples.lengths
        shorter, longer = np.minimum(sources, targets), np.maximum(sources, targets)
        kept = np.asarray(longer * CJK_WEIGHT <= self._max * shorter + self._tolerance)
        for index in np.flatnonzero(~kept).tolist():
            source, target = examples.sources[index], examples.targets[index]
            kept[index] = not (
                is_far_longer(source, target, self._max, self._tolerance)
                or is_far_longer(target, source, self._max, self._tolerance)
            )
        return kept


class Identical:
    """Drops pairs with equal sides, ignoring case, if the languages differ and the sides contain letters."""

    def __init__(self, settings: IdenticalFilter, languages: tuple[str, str], held_out: HeldOutKeys) -> None:
        self.name = "identical"
        self.description = "both sides are the same"
        self._languages_differ = base_language(languages[0]) != base_language(languages[1])

    def __call__(self, examples: Examples) -> Booleans:
        kept = np.ones(len(examples), np.bool_)
        if not self._languages_differ:
            return kept
        sources, targets = examples.lengths
        for index in np.flatnonzero(sources == targets).tolist():
            source, target = examples.sources[index], examples.targets[index]
            kept[index] = source.casefold() != target.casefold() or not _has_letters(source)
        return kept


class Script:
    """Drops pairs with a side that has too few letters of the scripts of its language, if these are known.

    Half of them are enough if other letters are in words of both sides, such as names.
    """

    def __init__(self, settings: ScriptFilter, languages: tuple[str, str], held_out: HeldOutKeys) -> None:
        self.name = "script"
        self.description = f"less than {settings.min:.0%} of a side's letters are of its language"
        self._min = settings.min
        self._sides = [_ScriptTable(scripts_of(code)) if scripts_of(code) else None for code in languages]

    def __call__(self, examples: Examples) -> Booleans:
        kept = np.ones(len(examples), np.bool_)
        sides = (examples.sources, examples.targets)
        for table, texts, others in zip(self._sides, sides, sides[::-1], strict=True):
            if table is not None:
                fractions = np.fromiter(map(table.fraction, texts), np.float64, len(texts))
                for index in np.flatnonzero(fractions < self._min).tolist():
                    own_words = _without_shared_words(texts[index], others[index])
                    kept[index] &= fractions[index] >= self._min / 2 and table.fraction(own_words) >= self._min
        return kept


def _without_shared_words(text: str, other: str) -> str:
    shared = set(words(other))
    return " ".join(word for word in words(text) if word not in shared)


class _ScriptTable(dict[str, bool | None]):
    """Whether a character is a letter of some scripts; None if it is not a letter, or of an unknown script."""

    def __init__(self, scripts: Set[str]) -> None:
        super().__init__()
        self._scripts = scripts
        self._weight = CJK_WEIGHT if "CJK" in scripts else 1.0
        self._ascii_fraction = 1.0 if "LATIN" in scripts else 0.0

    def __missing__(self, character: str) -> bool | None:
        script = script_of(character)
        self[character] = script in self._scripts if script else None
        return self[character]

    def fraction(self, text: str) -> float:
        """Return the fraction of the letters of a text, by information, of these scripts; 1 if it has no letters."""
        if text.isascii():
            return self._ascii_fraction if self._ascii_fraction or _has_letters(text) else 1.0
        flags = list(map(self.__getitem__, text))
        own, foreign = self._weight * flags.count(True), flags.count(False)
        return own / (own + foreign) if foreign else 1.0


def _has_letters(text: str) -> bool:
    return any(map(str.isalpha, text))


class Repeats:
    """Drops pairs in which one side repeats a phrase over and over and the other does not."""

    name = "repeats"
    description = "a side repeats the same text over and over"

    def __init__(self, settings: RepeatsFilter, languages: tuple[str, str], held_out: HeldOutKeys) -> None:
        pass

    def __call__(self, examples: Examples) -> Booleans:
        kept = np.ones(len(examples), np.bool_)
        sides = (examples.sources, examples.targets)
        for texts, others, lengths in zip(sides, sides[::-1], examples.lengths, strict=True):
            pairs = zip(texts, others, strict=True)
            kept &= np.array([not find_repeated_phrase(other, text) for text, other in pairs], np.bool_)
            for index in _candidates_for_runs(texts, lengths):
                kept[index] &= not find_longer_run(others[index], texts[index])
        return kept


def _candidates_for_runs(texts: list[str], lengths: Integers) -> list[int]:
    """Return the indices of texts that may contain a run, among them all that do.

    A run of a unit of u characters shows as characters that equal those u positions later, all along.
    """
    codes = np.frombuffer("\n".join(texts).encode("utf-32-le"), "<u4")
    positions = [np.empty(0, np.int64)]
    for unit in range(1, MAX_RUN_UNIT + 1):
        equal, span = codes[unit:] == codes[:-unit], 1
        while 2 * span <= (MIN_RUN_COPIES - 1) * unit:
            equal, span = equal[span:] & equal[:-span], 2 * span
        positions.append(np.flatnonzero(equal))
    ends = np.cumsum(lengths + 1)
    indices: list[int] = np.unique(np.searchsorted(ends, np.concatenate(positions), side="right")).tolist()
    return indices


class Unmatched:
    """Drops pairs with a number, URL or the like that only one side has."""

    def __init__(self, settings: UnmatchedFilter, languages: tuple[str, str], held_out: HeldOutKeys) -> None:
        self.name = "unmatched"
        self.description = f"a {' or '.join(settings.kinds)} is on one side only"
        self._checks_numbers = "number" in settings.kinds
        self._kinds = frozenset(settings.kinds) - {"number"}

    def __call__(self, examples: Examples) -> Booleans:
        pairs = zip(examples.sources, examples.targets, strict=True)
        return np.array([not self._is_unmatched(source, target) for source, target in pairs], np.bool_)

    def _is_unmatched(self, source: str, target: str) -> bool:
        both = source + target
        if not (_CANDIDATE.search(both) or "www." in both):
            return False
        if self._kinds and any(found.problem in self._kinds for found in check_preserved(source, target)):
            return True
        if not self._checks_numbers or not _DIGIT.search(both):
            return False
        source, target = without_preserved(source), without_preserved(target)
        return bool(check_numbers(source, target) or check_numbers(target, source))


_CANDIDATE = re.compile("[0-9@{%<_:\u0660-\u1fff\u3000-\U0010ffff]")
"""A pair without any of these characters, and without `www.`, has nothing to match. Most pairs have none."""
_DIGIT = re.compile(r"\d")
