"""Filters that follow what the corpus or a program of the user's says of a pair."""

import math
import re
from functools import lru_cache

import numpy as np

from nmt_cli.data.filters.contract import Rows, Truths
from nmt_cli.data.filters.held_out import HeldOut
from nmt_cli.data.filters.programs import answers
from nmt_cli.errors import DataError
from nmt_cli.recipe.data.filters import LanguageFilter, ScoreFilter
from nmt_cli.text.checks.scripts import base_language

_FASTTEXT = "__label__"


class Language:
    """Drops pairs with a side that is in another language, as a program finds."""

    def __init__(self, settings: LanguageFilter, languages: tuple[str, str], held_out: HeldOut) -> None:
        self.name = "language"
        self._command = settings.command
        wanted = (settings.source or languages[0], settings.target or languages[1])
        sides = [place for place, side in enumerate(("source", "target")) if settings.sides in ("both", side)]
        self._wanted = [(place, wanted[place]) for place in sides]
        self.words = f"a side is not in its language, {' and '.join(code for _, code in self._wanted)}"

    def __call__(self, rows: Rows) -> Truths:
        sides = (rows.sources, rows.targets)
        said = answers(
            _where(rows, self.name), self._command, [line for place, _ in self._wanted for line in sides[place]]
        )
        kept = np.ones(len(rows), np.bool_)
        for number, (_, code) in enumerate(self._wanted):
            some = said[number * len(rows) : (number + 1) * len(rows)]
            kept &= np.array([is_language(_first_word(line), code) for line in some], np.bool_)
        return kept


class Score:
    """Drops pairs whose score is too low or too high."""

    def __init__(self, settings: ScoreFilter, languages: tuple[str, str], held_out: HeldOut) -> None:
        self.name = "score"
        self._command = settings.command
        self._fewest = -math.inf if settings.fewest is None else settings.fewest
        self._most = math.inf if settings.most is None else settings.most
        below = "" if settings.fewest is None else f"below {settings.fewest:g}"
        above = "" if settings.most is None else f"above {settings.most:g}"
        self.words = f"its score is {' or '.join(filter(None, (below, above)))}"

    def __call__(self, rows: Rows) -> Truths:
        said = rows.scores if self._command is None else self._asked(self._command, rows)
        if said is None:  # a corpus that needs no judgement, such as one made by hand
            return np.ones(len(rows), np.bool_)
        numbers = np.fromiter((self._number(word, rows, row) for row, word in enumerate(said)), np.float64, len(rows))
        return np.asarray((numbers >= self._fewest) & (numbers <= self._most))

    def _asked(self, command: str, rows: Rows) -> list[str]:
        pairs = zip(rows.sources, rows.targets, strict=True)
        lines = ["\t".join(side.replace("\t", " ") for side in pair) for pair in pairs]
        return answers(_where(rows, self.name), command, lines)

    def _number(self, word: str, rows: Rows, row: int) -> float:
        try:
            number = float(word)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            who = f"`{self._command}` says" if self._command else "its score is"
            raise DataError(f"{rows.place(row)}: filter score: {who} {word[:80]!r}, which is no number")
        return number


@lru_cache(1024)
def is_language(said: str, wanted: str) -> bool:
    """Whether a code that was found is the one wanted: `deu` is `de`, `pt` is `pt_BR`, `zh_Hans` is not `zh_Hant`."""
    if base_language(said) != base_language(wanted):
        return False
    more, asked = (re.split("[-_]", code.lower())[1:] for code in (said, wanted))
    return not more or not asked or more == asked


def _first_word(line: str) -> str:
    return next(iter(line.split(None, 1)), "").removeprefix(_FASTTEXT)


def _where(rows: Rows, name: str) -> str:
    return f"data.filters: {name}" + (f": data.train.{rows.corpus}" if rows.corpus else "")
