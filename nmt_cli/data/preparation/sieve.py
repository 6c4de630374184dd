"""From records as they were read to normalised pairs that the filters leave."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nmt_cli.data.filters import OVERLAP, HeldOut, KeyFilter, Rows, build_filters, sift
from nmt_cli.data.preparation.corpora import Task
from nmt_cli.data.reading import RawChunk, Records, decode
from nmt_cli.recipe.data import Data
from nmt_cli.text.normalization import normalize_lines

EXAMPLES = 3
"""As many of what is dropped for each reason are shown."""
_LONGEST = 200
"""Characters of an example."""

Example = dict[str, Any]
"""A pair that was dropped: record, source, target."""


def reasons(data: Data) -> dict[str, str]:
    """What is dropped for each reason, in words, in the order in which they are looked for."""
    filters = build_filters(data.filters, (data.source_language, data.target_language), HeldOut.of())
    local, keyed = ([each for each in filters if isinstance(each, KeyFilter) == is_keyed] for is_keyed in (False, True))
    return {
        "not_utf8": "a line is not UTF-8",
        "no_record": "a line is no record of the format",
        "no_language": "one of the languages is missing",
        **{each.name: each.words for each in local},
        "too_long": f"a side has more than {data.max_length:,} subwords",
        **{each.name: each.words for each in keyed},
    }


@dataclass
class Losses:
    """What was dropped, by reason, and some examples of it."""

    dropped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Example]] = field(default_factory=dict)

    def add(self, reason: str, count: int, examples: Sequence[Example]) -> None:
        """Count more, if there are any."""
        if count:
            self.dropped[reason] += count
            known = self.examples.setdefault(reason, [])
            known += examples[: EXAMPLES - len(known)]

    def merge(self, other: "Losses") -> None:
        """Count what another lost, too."""
        for reason, count in other.dropped.items():
            self.add(reason, count, other.examples.get(reason, []))


@dataclass(frozen=True)
class Sieved:
    """What is left of some records."""

    records: Records
    """As they were read, all that are records."""
    places: npt.NDArray[np.int64]
    """Which of them are left."""
    rows: Rows
    """Those, normalised."""
    normalized: Rows
    """All, normalised."""
    held_out: npt.NDArray[np.int64]
    """Which of them stand in a validation or test set, and are not left for that."""
    keys: list[npt.NDArray[np.uint64]]
    """For each filter that looks at all pairs, the keys of what is left."""
    losses: Losses


class Sieve:
    """Reads, normalises and filters records of one corpus; of one that is not learned from only empty pairs go."""

    def __init__(self, data: Data, normalization: str, task: Task, held_out: HeldOut) -> None:
        self._task, self._on_error, self._normalization = task, data.on_error, normalization
        self.filters = build_filters(data.filters if task.is_learned else [], task.languages, held_out)

    def __call__(self, chunk: RawChunk) -> Sieved:
        """What is left of a chunk."""
        records, losses = decode(self._task.corpus, chunk, self._on_error), Losses()
        for reason, count in records.dropped.counts.items():
            shown = [example(one.record, one.source, one.target) for one in records.dropped.examples[reason]]
            losses.add(reason, count, shown)
        sources, targets = (normalize_lines(self._normalization, side) for side in (records.sources, records.targets))
        normalized = Rows(sources, targets, records.extras.get("score"), self._task.name, records.numbers)
        sifted = sift(self.filters, normalized)
        for reason, places in sifted.dropped.items():
            losses.add(reason, len(places), examples_of(normalized, places))
        held_out = sifted.dropped.get(OVERLAP, sifted.places[:0])
        return Sieved(records, sifted.places, sifted.rows, normalized, held_out, sifted.keys, losses)


class Sieves:
    """The sieve of each corpus of a recipe, made when its first records come."""

    def __init__(self, data: Data, normalization: str, held_out: HeldOut) -> None:
        self._data, self._normalization, self._held_out = data, normalization, held_out
        self._made = dict[str, Sieve]()

    def of(self, task: Task) -> Sieve:
        """That of one corpus."""
        if task.name not in self._made:
            self._made[task.name] = Sieve(self._data, self._normalization, task, self._held_out)
        return self._made[task.name]


def examples_of(rows: Rows, places: npt.NDArray[np.int64]) -> list[Example]:
    """The first of the rows at these places."""
    assert rows.numbers is not None
    shown = [int(place) for place in places[:EXAMPLES]]
    return [example(rows.numbers[place], rows.sources[place], rows.targets[place]) for place in shown]


def example(record: int, source: str, target: str) -> Example:
    """A pair that was dropped, as the manifest shows it."""
    return {"record": record, "source": _short(source), "target": _short(target)}


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
