"""Filters that look at whether the two sides can be translations of each other; judgement as of translations."""

import numpy as np

from nmt_cli.data.filters.contract import Rows, Truths
from nmt_cli.data.filters.held_out import HeldOut
from nmt_cli.recipe.data.filters import IdenticalFilter
from nmt_cli.text.checks.scripts import base_language


class Identical:
    """Drops pairs whose sides are the same but for case."""

    def __init__(self, settings: IdenticalFilter, languages: tuple[str, str], held_out: HeldOut) -> None:
        self.name = "identical"
        self.words = "both sides are the same"
        self._differ = base_language(languages[0]) != base_language(languages[1])

    def __call__(self, rows: Rows) -> Truths:
        if not self._differ:
            return np.ones(len(rows), np.bool_)
        pairs = zip(rows.sources, rows.targets, strict=True)
        kept = [source.casefold() != target.casefold() or not _has_letters(source) for source, target in pairs]
        return np.array(kept, np.bool_)


def _has_letters(text: str) -> bool:
    return any(map(str.isalpha, text))
