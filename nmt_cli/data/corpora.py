"""Parallel corpora: two files read in step, normalised, unusable pairs dropped and counted."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest

from nmt_cli.errors import DataError
from nmt_cli.recipe.data import Corpus
from nmt_cli.text.lines import read_lines
from nmt_cli.text.pairs import Fault, fault


@dataclass
class Tally:
    """What became of the pairs of a corpus: read = kept + all that were dropped."""

    read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """By reason."""

    def drop(self, reason: Fault, pairs: int = 1) -> None:
        if pairs:
            self.dropped[reason] += pairs

    @property
    def kept(self) -> int:
        return self.read - self.dropped.total()


def read_pairs(corpus: Corpus, normalize: Callable[[str], str], tally: Tally) -> Iterator[tuple[str, str]]:
    """The usable pairs of a corpus, normalised, in order; `tally` counts as they pass.

    Files of unequal length raise DataError at the end, when the lines of both are counted.
    """
    sources, targets = 0, 0
    for source, target in zip_longest(read_lines(corpus.source), read_lines(corpus.target)):
        sources, targets = sources + (source is not None), targets + (target is not None)
        if source is None or target is None:
            continue
        source, target = normalize(source), normalize(target)
        tally.read += 1
        if reason := fault(source, target):
            tally.drop(reason)
        else:
            yield source, target
    if sources != targets:
        raise DataError(
            f"{corpus.source} has {sources:,} lines, but {corpus.target} has {targets:,}; "
            "line n of one must be the translation of line n of the other"
        )
