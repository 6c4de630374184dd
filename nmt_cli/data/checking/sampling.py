"""Samples of lines and of corpora. A corpus is read once: all pairs are counted, and excerpts are kept."""

from collections.abc import Iterable
from dataclasses import dataclass, field

Pair = tuple[str, str]

_EXCERPT_PAIRS = 200
_MAX_EXCERPTS = 100
"""Beyond this number every second excerpt is discarded, and twice as many pairs are skipped between excerpts."""


@dataclass(frozen=True)
class Excerpt:
    """Consecutive pairs of a corpus."""

    first: int
    """1-based number of the first pair."""
    pairs: list[Pair] = field(default_factory=list)


@dataclass(frozen=True)
class CorpusSample:
    """The beginning of a corpus, and excerpts evenly spread over the rest."""

    name: str
    """Recipe key, such as data.train.news."""
    languages: tuple[str, str]
    """Codes of source and target in the recipe."""
    num_pairs: int
    """Pairs in the whole corpus."""
    excerpts: list[Excerpt]

    @property
    def pairs(self) -> list[Pair]:
        """All pairs of the excerpts, in order."""
        return [pair for excerpt in self.excerpts for pair in excerpt.pairs]

    @property
    def sides(self) -> dict[str, list[str]]:
        """The lines of each side."""
        pairs = self.pairs
        return {"source": [source for source, _ in pairs], "target": [target for _, target in pairs]}

    @property
    def is_complete(self) -> bool:
        """Whether the excerpts contain the whole corpus."""
        return self.num_pairs == sum(len(excerpt.pairs) for excerpt in self.excerpts)


def sample_corpus(name: str, languages: tuple[str, str], pairs: Iterable[Pair]) -> CorpusSample:
    """Read a corpus to its end."""
    kept: list[Excerpt] = []
    stride, num_pairs = 1, 0
    for num_pairs, pair in enumerate(pairs, 1):
        index, position = divmod(num_pairs - 1, _EXCERPT_PAIRS)
        if index % stride:
            continue
        if not position:
            if len(kept) == _MAX_EXCERPTS:
                kept, stride = kept[::2], 2 * stride
                if index % stride:
                    continue
            kept.append(Excerpt(num_pairs))
        kept[-1].pairs.append(pair)
    return CorpusSample(name, languages, num_pairs, kept)
