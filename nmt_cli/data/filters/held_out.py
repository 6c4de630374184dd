"""Lines of validation and test sets, which training must not have seen."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmt_cli.data.filters.contract import By, Keys, Rows, Truths, pair_keys
from nmt_cli.errors import DataError
from nmt_cli.recipe.data.filters import OverlapFilter

OVERLAP = "overlap"
"""The reason for which such lines are dropped."""
_SIDES: tuple[By, ...] = ("pair", "source", "target")
_SHOWN = 80
"""Characters of a line that a message quotes."""


@dataclass(frozen=True)
class HeldOut:
    """The keys of all pairs, sources and targets of some sets."""

    names: tuple[str, ...]
    """Of the sets."""
    keys: dict[By, Keys]
    """Each once, ascending."""
    sets: dict[By, NDArray[np.int64]]
    """The place in `names` of a set that holds the line of each key."""

    @classmethod
    def of(cls, sets: Iterable[tuple[str, Iterable[tuple[str, str]]]] = ()) -> "HeldOut":
        """From the name of each set, such as `test/news`, and its pairs, normalised; one for each reference."""
        names, sources, targets = [], list[str](), list[str]()
        owners = list[int]()
        for place, (name, pairs) in enumerate(sets):
            names.append(name)
            for source, target in pairs:
                sources.append(source)
                targets.append(target)
                owners.append(place)
        keys, places = {}, {}
        for by in _SIDES:
            keys[by], first = np.unique(pair_keys(sources, targets, by), return_index=True)
            places[by] = np.array(owners, np.int64)[first]
        return cls(tuple(names), keys, places)

    def holds(self, keys: Keys, by: By) -> Truths:
        """Which keys are those of a line of a set."""
        known = self.keys[by]
        if not len(known):
            return np.zeros(len(keys), np.bool_)
        return np.asarray(known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys)

    def name(self, key: np.uint64, by: By) -> str:
        """The first set that holds a line with this key."""
        return self.names[int(self.sets[by][np.searchsorted(self.keys[by], key)])]


class Overlap:
    """Finds what stands in a validation or test set; `refuse` raises DataError at the first such pair."""

    def __init__(self, settings: OverlapFilter, languages: tuple[str, str], held_out: HeldOut) -> None:
        self.name = OVERLAP
        what = "source or target" if settings.by == "either" else settings.by
        self.words = f"the {what} stands in a validation or test set"
        self._held_out, self._refuse = held_out, settings.action == "refuse"
        self._by: tuple[By, ...] = ("source", "target") if settings.by == "either" else (settings.by,)

    def __call__(self, rows: Rows) -> Truths:
        found = np.zeros(len(rows), np.bool_)
        for by in self._by:
            found |= self._held_out.holds(rows.keys(by), by)
        if self._refuse and found.any():
            raise DataError(self._told(rows, int(found.argmax())))
        return ~found

    def _told(self, rows: Rows, row: int) -> str:
        by = next(by for by in self._by if self._held_out.holds(rows.keys(by)[row : row + 1], by)[0])
        text = rows.targets[row] if by == "target" else rows.sources[row]
        quoted = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
        return (
            f"{rows.place(row)}: its {by} stands in the set {self._held_out.name(rows.keys(by)[row], by)}, too: "
            f"{quoted!r}; take it out of one of them, or say `action: remove` in the filter overlap"
        )
