"""Reads a corpus once: all pairs are counted, some stretches of neighbours are kept to be looked at."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Pair = tuple[str, str]

_NEIGHBOURS = 200
"""Pairs of a stretch."""
_STRETCHES = 100
"""At most; where there are more, every second one is forgotten, and only every second one is kept from there on."""


@dataclass(frozen=True)
class Stretch:
    """Pairs that follow one another."""

    first: int
    """Number of the first one in its corpus, counted from 1."""
    pairs: list[Pair] = field(default_factory=list)


@dataclass(frozen=True)
class Sample:
    """A corpus as far as it is looked at: its beginning, and stretches spread evenly over the rest."""

    name: str
    """By its key in the recipe, such as data.train.news."""
    languages: tuple[str, str]
    """Codes that the recipe gives for sources and targets."""
    read: int
    """Pairs in the whole corpus."""
    stretches: list[Stretch]

    @property
    def pairs(self) -> list[Pair]:
        """All that are kept, in order."""
        return [pair for stretch in self.stretches for pair in stretch.pairs]

    @property
    def sides(self) -> dict[str, list[str]]:
        """The lines of each side that are kept."""
        pairs = self.pairs
        return {"source": [source for source, _ in pairs], "target": [target for _, target in pairs]}

    @property
    def is_whole(self) -> bool:
        """Whether all pairs are kept."""
        return self.read == sum(len(stretch.pairs) for stretch in self.stretches)


def sample(name: str, languages: tuple[str, str], pairs: Iterable[Pair]) -> Sample:
    """Read a corpus to its end."""
    kept: list[Stretch] = []
    every, read = 1, 0
    for read, pair in enumerate(pairs, 1):
        number, place = divmod(read - 1, _NEIGHBOURS)
        if number % every:
            continue
        if not place:
            if len(kept) == _STRETCHES:
                kept, every = kept[::2], 2 * every
                if number % every:
                    continue
            kept.append(Stretch(read))
        kept[-1].pairs.append(pair)
    return Sample(name, languages, read, kept)


def some(lines: list[str], most: int) -> Iterator[str]:
    """At most so many of the lines, evenly spread."""
    step = -(-len(lines) // most) or 1
    return iter(lines[::step])
