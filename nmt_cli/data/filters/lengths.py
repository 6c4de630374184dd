"""Filters that look at how much a side says."""

import numpy as np

from nmt_cli.data.filters.contract import Rows, Truths
from nmt_cli.data.filters.held_out import HeldOut
from nmt_cli.recipe.data.filters import LengthFilter, RatioFilter
from nmt_cli.text.checks.checker import CJK_WEIGHT, is_far_longer
from nmt_cli.text.lines import is_blank


class Empty:
    """Drops pairs with a side that holds nothing that can be seen."""

    name = "empty"
    words = "a side is empty"

    def __call__(self, rows: Rows) -> Truths:
        return _is_seen(rows.sources) & _is_seen(rows.targets)


class Length:
    """Drops pairs with a side of too few or too many characters."""

    def __init__(self, settings: LengthFilter, languages: tuple[str, str], held_out: HeldOut) -> None:
        self.name = "length"
        self._fewest, self._most = settings.fewest, settings.most
        fewer = f"less than {self._fewest:,} or " if self._fewest > 1 else ""
        self.words = f"a side has {fewer}more than {self._most:,} characters"

    def __call__(self, rows: Rows) -> Truths:
        sources, targets = rows.lengths
        shorter, longer = np.minimum(sources, targets), np.maximum(sources, targets)
        return np.asarray((shorter >= self._fewest) & (longer <= self._most))


class Ratio:
    """Drops pairs of which one side says far more than the other."""

    def __init__(self, settings: RatioFilter, languages: tuple[str, str], held_out: HeldOut) -> None:
        self.name = "ratio"
        self._most, self._slack = settings.most, settings.slack
        self.words = f"a side is more than {self._most:g} times as long as the other"

    def __call__(self, rows: Rows) -> Truths:
        sources, targets = rows.lengths
        shorter, longer = np.minimum(sources, targets), np.maximum(sources, targets)
        kept = np.asarray(longer * CJK_WEIGHT <= self._most * shorter + self._slack)
        for row in np.flatnonzero(~kept).tolist():
            source, target = rows.sources[row], rows.targets[row]
            kept[row] = not (
                is_far_longer(source, target, self._most, self._slack)
                or is_far_longer(target, source, self._most, self._slack)
            )
        return kept


def _is_seen(lines: list[str]) -> Truths:
    """Which lines are not blank; most begin with a sign of ASCII, and are seen at once."""
    return np.array(["!" <= line < "\x7f" or not is_blank(line) for line in lines], np.bool_)
