"""The filters of a recipe's `data.filters`, applied in order to normalised examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from nmt_cli.data.arrays import Booleans, Integers
from nmt_cli.data.context import normalize_documents
from nmt_cli.data.filters.duplicates import OVERLAP, Duplicates, HeldOutKeys, HeldOutOverlap, NearDuplicates
from nmt_cli.data.filters.parallelism import Empty, Identical, Length, Ratio, Repeats, Script, Unmatched
from nmt_cli.data.filters.scores import LanguageId, QualityScore
from nmt_cli.data.reading.examples import Examples, Keys
from nmt_cli.recipe.filters import Filter
from nmt_cli.text.normalization import normalize_lines


class LocalFilter(Protocol):
    """Judges each pair alone; the other pairs of the chunk make no difference."""

    name: str
    """The reason under which dropped pairs are counted, such as `length`."""
    description: str
    """Which pairs are dropped, for messages, such as `a side has more than 2,000 characters`."""

    def __call__(self, examples: Examples) -> Booleans:
        """Return which pairs to keep."""


@runtime_checkable
class KeyFilter(Protocol):
    """Keeps the first of all pairs with equal keys. Applied when the shards are merged."""

    name: str
    description: str

    def keys(self, examples: Examples) -> Keys:
        """Return the key of each pair."""


FILTERS: dict[str, Any] = {
    "length": Length,
    "ratio": Ratio,
    "identical": Identical,
    "script": Script,
    "repeats": Repeats,
    "unmatched": Unmatched,
    "duplicates": Duplicates,
    "near_duplicates": NearDuplicates,
    "overlap": HeldOutOverlap,
    "language": LanguageId,
    "score": QualityScore,
}
"""Filter classes by `type` in the recipe, built from settings, languages of the corpus, and held-out keys."""


def build_filters(
    filters: Sequence[Filter], languages: tuple[str, str], held_out: HeldOutKeys, is_monolingual: bool = False
) -> list[LocalFilter | KeyFilter]:
    """Return the filters of a corpus, in order. Pairs with an empty side are always dropped first."""
    return [Empty(is_monolingual), *(FILTERS[settings.type](settings, languages, held_out) for settings in filters)]


@dataclass(frozen=True)
class FilterResult:
    """A chunk of examples and what the filters kept of it."""

    raw: Examples
    """All pairs, as they are in the files."""
    normalized: Examples
    """All pairs, normalised."""
    kept: Examples
    """The pairs that no local filter dropped, normalised."""
    indices: Integers
    """Indices of the kept pairs among all pairs."""
    dropped: dict[str, Integers]
    """Indices of the dropped pairs by reason; only reasons that occur."""
    keys: list[Keys]
    """The keys of the kept pairs, for each key filter in order."""

    @property
    def held_out(self) -> Integers:
        """Indices of the pairs that were dropped because they are in a validation or test set."""
        return self.dropped.get(OVERLAP, self.indices[:0])


class FilterPipeline:
    """Normalises the examples of one corpus and filters them."""

    def __init__(
        self,
        filters: Sequence[Filter],
        languages: tuple[str, str],
        held_out: HeldOutKeys,
        normalization: str = "none",
        corpus: str = "",
        is_monolingual: bool = False,
    ) -> None:
        built = build_filters(filters, languages, held_out, is_monolingual)
        self._normalize = normalize_documents if is_monolingual else normalize_lines
        self.local_filters = [each for each in built if not isinstance(each, KeyFilter)]
        self.key_filters = [each for each in built if isinstance(each, KeyFilter)]
        self._normalization, self._corpus = normalization, corpus

    def apply(self, raw: Examples) -> FilterResult:
        """Drop what the local filters reject, and compute the keys of the other pairs for the key filters.

        So key filters see only pairs that no local filter drops, regardless of the order of the list, and one of
        several equal pairs is always kept.
        """
        sources, targets = (self._normalize(self._normalization, side) for side in (raw.sources, raw.targets))
        kept = normalized = Examples(sources, targets, raw.records, raw.columns, self._corpus)
        indices = np.arange(len(raw))
        dropped: dict[str, Integers] = {}
        for local in self.local_filters:
            mask = local(kept)
            if not mask.all():
                before = dropped.get(local.name, indices[:0])
                dropped[local.name] = np.sort(np.concatenate([before, indices[~mask]]))
                kept, indices = kept.select(mask), indices[mask]
        return FilterResult(raw, normalized, kept, indices, dropped, [each.keys(kept) for each in self.key_filters])
