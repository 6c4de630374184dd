"""From the list `data.filters` to filters, and what they say of rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmt_cli.data.filters.agreement import Identical, Repeats, Script, Unmatched
from nmt_cli.data.filters.contract import KeyFilter, Keys, LocalFilter, Rows
from nmt_cli.data.filters.duplicates import Duplicates, NearDuplicates
from nmt_cli.data.filters.held_out import HeldOut, Overlap
from nmt_cli.data.filters.lengths import Empty, Length, Ratio
from nmt_cli.data.filters.verdicts import Language, Score
from nmt_cli.recipe.data import Filter

FILTERS: dict[str, Any] = {
    "length": Length,
    "ratio": Ratio,
    "identical": Identical,
    "script": Script,
    "repeats": Repeats,
    "unmatched": Unmatched,
    "duplicates": Duplicates,
    "near_duplicates": NearDuplicates,
    "overlap": Overlap,
    "language": Language,
    "score": Score,
}
"""By the type that stands in a recipe: made from its section, the corpus' languages, and what is held out."""


def build_filters(
    filters: Sequence[Filter], languages: tuple[str, str], held_out: HeldOut
) -> list[LocalFilter | KeyFilter]:
    """The filters of a corpus between two languages, in order; pairs with an empty side go first."""
    return [Empty(), *(FILTERS[settings.type](settings, languages, held_out) for settings in filters)]


@dataclass(frozen=True)
class Sifted:
    """What became of some rows."""

    rows: Rows
    """Those that are left."""
    places: NDArray[np.int64]
    """Their places among those that were given."""
    dropped: dict[str, NDArray[np.int64]]
    """Places of those that were dropped, by reason; reasons for which none was are left out."""
    keys: list[Keys]
    """For each filter that looks at all pairs, in order, the keys of the rows that are left."""


def sift(filters: Sequence[LocalFilter | KeyFilter], rows: Rows) -> Sifted:
    """Let the filters that judge one pair alone drop what they drop, and take the keys of what is left for the others.

    So these look at what no filter drops, wherever they stand in the list: of equal pairs one is kept in any case.
    """
    places = np.arange(len(rows))
    dropped: dict[str, NDArray[np.int64]] = {}
    for judge in local(filters):
        kept = judge(rows)
        if not kept.all():
            dropped[judge.name] = np.sort(np.concatenate([dropped.get(judge.name, places[:0]), places[~kept]]))
            rows, places = rows.where(kept), places[kept]
    return Sifted(rows, places, dropped, [keyed.keys(rows) for keyed in by_key(filters)])


def local(filters: Sequence[LocalFilter | KeyFilter]) -> Iterator[LocalFilter]:
    """Those that judge one pair alone."""
    return (judge for judge in filters if not isinstance(judge, KeyFilter))


def by_key(filters: Sequence[LocalFilter | KeyFilter]) -> Iterator[KeyFilter]:
    """Those that look at all pairs."""
    return (keyed for keyed in filters if isinstance(keyed, KeyFilter))
