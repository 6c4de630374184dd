"""Parallel corpora: two files read in step, normalised, unusable pairs dropped and counted."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from nmt_cli.data.alignments import normalized_links
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


@dataclass(frozen=True, slots=True)
class Pair:
    """A source and its translation, normalised."""

    source: str
    target: str
    links: str = ""
    """Between words of the two, such as `0-0 1-2`."""


def read_pairs(corpus: Corpus, normalize: Callable[[str], str], tally: Tally) -> Iterator[Pair]:
    """The usable pairs of a corpus, normalised, in order; `tally` counts as they pass.

    Files of unequal length raise DataError at the end, when the lines of all are counted.
    """
    number, paths = 0, corpus.files
    missing: Counter[str] = Counter()
    for number, row in enumerate(zip_longest(*map(read_lines, paths.values())), 1):
        lines = [line for line in row if line is not None]
        if len(lines) < len(paths):
            missing.update(side for side, line in zip(paths, row, strict=True) if line is None)
            continue
        pair = Pair(normalize(lines[0]), normalize(lines[1]))
        tally.read += 1
        if reason := fault(pair.source, pair.target):
            tally.drop(reason)
        elif len(lines) == 2:
            yield pair
        else:
            yield _linked(pair, lines, normalize, f"{paths['alignment']}: line {number}")
    _refuse_unequal(paths, {side: number - missing[side] for side in paths})


def _linked(pair: Pair, raw: list[str], normalize: Callable[[str], str], place: str) -> Pair:
    """The pair with the links that stand in the third of the raw lines."""
    try:
        links = normalized_links(raw[2], raw[:2], (pair.source, pair.target), normalize)
    except ValueError as error:
        raise DataError(f"{place}: {error}; it must be made from the very lines of this corpus") from error
    return Pair(pair.source, pair.target, links)


def _refuse_unequal(paths: dict[str, Path], lines: dict[str, int]) -> None:
    for side, means in (("target", "be the translation of"), ("alignment", "link the words of")):
        if side in paths and lines[side] != lines["source"]:
            raise DataError(
                f"{paths['source']} has {lines['source']:,} lines, but {paths[side]} has {lines[side]:,}; "
                f"line n of {'one' if side == 'target' else 'the second'} must {means} "
                f"line n of the {'other' if side == 'target' else 'first'}"
            )
