"""The filter `overlap`: pairs that are also in a validation or test set."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nmt_cli.data.arrays import Booleans, Integers
from nmt_cli.data.reading.examples import Examples, KeyFields, Keys, text_keys
from nmt_cli.errors import DataError
from nmt_cli.recipe.filters import OverlapFilter

OVERLAP = "overlap"
"""The reason for which such pairs are dropped."""
_FIELDS: tuple[KeyFields, ...] = ("pair", "source", "target")
_MAX_QUOTED = 80
"""Characters of a line that a message quotes."""


@dataclass(frozen=True)
class HeldOutKeys:
    """Keys of all pairs, sources and targets of the validation and test sets."""

    names: tuple[str, ...]
    """Names of the sets."""
    keys: dict[KeyFields, Keys]
    """Distinct keys, ascending."""
    set_indices: dict[KeyFields, Integers]
    """For each key, the index in `names` of the first set that contains it."""

    @classmethod
    def of(cls, sets: Iterable[tuple[str, Iterable[tuple[str, str]]]] = ()) -> "HeldOutKeys":
        """Compute the keys of sets, given by name, such as `test/news`, and normalised pairs, one per reference."""
        names, sources, targets = [], list[str](), list[str]()
        owners = list[int]()
        for index, (name, pairs) in enumerate(sets):
            names.append(name)
            for source, target in pairs:
                sources.append(source)
                targets.append(target)
                owners.append(index)
        keys, set_indices = {}, {}
        for on in _FIELDS:
            keys[on], first = np.unique(text_keys(sources, targets, on), return_index=True)
            set_indices[on] = np.array(owners, np.int64)[first]
        return cls(tuple(names), keys, set_indices)

    def contains(self, keys: Keys, on: KeyFields) -> Booleans:
        """Return which keys are those of a line of a set."""
        known = self.keys[on]
        if not len(known):
            return np.zeros(len(keys), np.bool_)
        return np.asarray(known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys)

    def set_name(self, key: np.uint64, on: KeyFields) -> str:
        """Return the first set that contains a line with this key."""
        return self.names[int(self.set_indices[on][np.searchsorted(self.keys[on], key)])]


class HeldOutOverlap:
    """Drops pairs that are in a validation or test set. With `refuse`, the first one raises DataError."""

    def __init__(self, settings: OverlapFilter, languages: tuple[str, str], held_out: HeldOutKeys) -> None:
        self.name = OVERLAP
        what = "source or target" if settings.compare == "either" else settings.compare
        self.description = f"the {what} is in a validation or test set"
        self._held_out, self._should_refuse = held_out, settings.action == "refuse"
        self._on: tuple[KeyFields, ...] = ("source", "target") if settings.compare == "either" else (settings.compare,)

    def __call__(self, examples: Examples) -> Booleans:
        found = np.zeros(len(examples), np.bool_)
        for on in self._on:
            found |= self._held_out.contains(examples.keys(on), on)
        if self._should_refuse and found.any():
            raise DataError(self._message(examples, int(found.argmax())))
        return ~found

    def _message(self, examples: Examples, index: int) -> str:
        on = next(on for on in self._on if self._held_out.contains(examples.keys(on)[index : index + 1], on)[0])
        text = examples.targets[index] if on == "target" else examples.sources[index]
        quoted = text if len(text) <= _MAX_QUOTED else text[: _MAX_QUOTED - 1] + "…"
        return (
            f"{examples.location(index)}: its {on} is also in the set "
            f"{self._held_out.set_name(examples.keys(on)[index], on)}: {quoted!r}; "
            "remove it from one of them, or set `action: remove` in the filter overlap"
        )
