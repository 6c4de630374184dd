"""Filters that look at whether the two sides can be translations of each other; judgement as of translations."""

import re
from collections.abc import Set

import numpy as np
from numpy.typing import NDArray

from nmt_cli.data.filters.contract import Rows, Truths
from nmt_cli.data.filters.held_out import HeldOut
from nmt_cli.recipe.data.filters import IdenticalFilter, RepeatsFilter, ScriptFilter, UnmatchedFilter
from nmt_cli.text.checks.preserved import check_numbers, check_preserved, without_preserved
from nmt_cli.text.checks.repetition import MAX_RUN_UNIT, MIN_RUN_COPIES, find_longer_run, find_repeated_phrase
from nmt_cli.text.checks.scripts import base_language, script_of, scripts_of


class Identical:
    """Drops pairs whose sides are the same but for case."""

    def __init__(self, settings: IdenticalFilter, languages: tuple[str, str], held_out: HeldOut) -> None:
        self.name = "identical"
        self.words = "both sides are the same"
        self._differ = base_language(languages[0]) != base_language(languages[1])

    def __call__(self, rows: Rows) -> Truths:
        if not self._differ:
            return np.ones(len(rows), np.bool_)
        sources, targets = rows.lengths
        kept = np.ones(len(rows), np.bool_)
        for row in np.flatnonzero(sources == targets).tolist():
            source, target = rows.sources[row], rows.targets[row]
            kept[row] = source.casefold() != target.casefold() or not _has_letters(source)
        return kept


class Script:
    """Drops pairs with a side whose letters are too seldom of a script of its language, where that is known."""

    def __init__(self, settings: ScriptFilter, languages: tuple[str, str], held_out: HeldOut) -> None:
        self.name = "script"
        self.words = f"less than {settings.fewest:.0%} of a side's letters are of its language"
        self._fewest = settings.fewest
        self._sides = [_Letters(scripts_of(code)) if scripts_of(code) else None for code in languages]

    def __call__(self, rows: Rows) -> Truths:
        kept = np.ones(len(rows), np.bool_)
        for letters, texts in zip(self._sides, (rows.sources, rows.targets), strict=True):
            if letters is not None:
                kept &= np.array([letters.share(text) >= self._fewest for text in texts], np.bool_)
        return kept


class Repeats:
    """Drops pairs with a side that says the same again and again, where the other does not."""

    name = "repeats"
    words = "a side says the same again and again"

    def __init__(self, settings: RepeatsFilter, languages: tuple[str, str], held_out: HeldOut) -> None:
        pass

    def __call__(self, rows: Rows) -> Truths:
        kept = np.ones(len(rows), np.bool_)
        sides = (rows.sources, rows.targets)
        for texts, others, lengths in zip(sides, sides[::-1], rows.lengths, strict=True):
            pairs = zip(texts, others, strict=True)
            kept &= np.array([not find_repeated_phrase(other, text) for text, other in pairs], np.bool_)
            for row in _with_runs(texts, lengths):
                kept[row] &= not find_longer_run(others[row], texts[row])
        return kept


class Unmatched:
    """Drops pairs with a number, URL or the like that is on one side only; either side may be the translation."""

    def __init__(self, settings: UnmatchedFilter, languages: tuple[str, str], held_out: HeldOut) -> None:
        self.name = "unmatched"
        self.words = f"a {' or '.join(settings.what)} is on one side only"
        self._numbers = "number" in settings.what
        self._kept = frozenset(settings.what) - {"number"}

    def __call__(self, rows: Rows) -> Truths:
        pairs = zip(rows.sources, rows.targets, strict=True)
        return np.array([not self._is_unmatched(source, target) for source, target in pairs], np.bool_)

    def _is_unmatched(self, source: str, target: str) -> bool:
        both = source + target
        if not (_SIGN.search(both) or "www." in both):
            return False
        if self._kept and any(found.problem in self._kept for found in check_preserved(source, target)):
            return True
        if not self._numbers or not _DIGIT.search(both):
            return False
        source, target = without_preserved(source), without_preserved(target)
        return bool(check_numbers(source, target) or check_numbers(target, source))


_SIGN = re.compile("[0-9@{%<_:\u0660-\u1fff\u3000-\U0010ffff]")
"""Without one of these, and `www.`, there is nothing to match; a quick look, as most pairs have none."""
_DIGIT = re.compile(r"\d")


def _with_runs(texts: list[str], lengths: NDArray[np.int64]) -> list[int]:
    """Rows that may hold a run, and all that do: where signs are equal to those a unit further on, all along."""
    codes = np.frombuffer("\n".join(texts).encode("utf-32-le"), "<u4")
    places = [np.empty(0, np.int64)]
    for unit in range(1, MAX_RUN_UNIT + 1):
        equal, span = codes[unit:] == codes[:-unit], 1
        while 2 * span <= (MIN_RUN_COPIES - 1) * unit:
            equal, span = equal[span:] & equal[:-span], 2 * span
        places.append(np.flatnonzero(equal))
    ends = np.cumsum(lengths + 1)
    rows: list[int] = np.unique(np.searchsorted(ends, np.concatenate(places), side="right")).tolist()
    return rows


class _Letters(dict[str, bool | None]):
    """Of each character whether it is a letter of these scripts; None if it is none, or of no script we know."""

    def __init__(self, scripts: Set[str]) -> None:
        super().__init__()
        self._scripts = scripts
        self._of_ascii = 1.0 if "LATIN" in scripts else 0.0

    def __missing__(self, sign: str) -> bool | None:
        script = script_of(sign)
        self[sign] = script in self._scripts if script else None
        return self[sign]

    def share(self, text: str) -> float:
        """Of a text's letters, those of these scripts; 1 if there are none."""
        if text.isascii():
            return self._of_ascii if self._of_ascii or _has_letters(text) else 1.0
        signs = list(map(self.__getitem__, text))
        own, foreign = signs.count(True), signs.count(False)
        return own / (own + foreign) if foreign else 1.0


def _has_letters(text: str) -> bool:
    return any(map(str.isalpha, text))
