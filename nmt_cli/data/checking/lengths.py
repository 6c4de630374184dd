"""How long lines are, in tokens where a tokenizer is there, else in characters."""

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nmt_cli.data.checking.finding import Finding, share

Unit = Literal["tokens", "characters"]
BINS: dict[Unit, tuple[int, ...]] = {
    "tokens": (0, 5, 10, 20, 40, 80, 160),
    "characters": (0, 20, 40, 80, 160, 320, 640),
}
"""The shortest length of each bin; the last one has no end."""
_MANY_TOO_LONG = 0.02
_PARAGRAPH = 100
"""Tokens: half of the lines are longer only where lines are no sentences."""


@dataclass(frozen=True)
class Histogram:
    """The lengths of one side of a corpus."""

    corpus: str
    side: str
    unit: Unit
    lengths: list[int]
    """Sorted."""

    @property
    def shares(self) -> list[float]:
        """Of the lines, in each bin."""
        ends = [bisect_right(self.lengths, least - 1) for least in BINS[self.unit]] + [len(self.lengths)]
        return [(end - begin) / max(1, len(self.lengths)) for begin, end in itertools.pairwise(ends)]

    @property
    def mean(self) -> float:
        return sum(self.lengths) / max(1, len(self.lengths))


def histogram(corpus: str, side: str, unit: Unit, lengths: Sequence[int]) -> Histogram:
    """Of the lengths of some lines."""
    return Histogram(corpus, side, unit, sorted(lengths))


def labels(unit: Unit) -> list[str]:
    """What each bin is called: by the length that its lines are below, but for the last."""
    return [f"<{following}" for following in BINS[unit][1:]] + [f"{BINS[unit][-1]}+"]


def too_long(sides: Sequence[Histogram], max_length: int) -> list[Finding]:
    """Finds a training corpus of which many lines are longer than training takes, or are no sentences."""
    findings = []
    for side in sides:
        longer = len(side.lengths) - bisect_right(side.lengths, max_length)
        if side.unit != "tokens" or not side.lengths:
            continue
        where = (
            f"the {side.side} of {share(longer, len(side.lengths))} of the pairs has more than {max_length:,} tokens"
        )
        if longer > _MANY_TOO_LONG * len(side.lengths):
            advice = "they are dropped; split them into sentences, or raise data.max_length"
            findings.append(Finding("warning", "lengths", side.corpus, where, advice))
        elif side.lengths[len(side.lengths) // 2] > _PARAGRAPH:
            what = f"half of the {side.side} lines have more than {side.lengths[len(side.lengths) // 2]:,} tokens"
            advice = "a line should be a sentence or little more; split paragraphs on both sides alike"
            findings.append(Finding("warning", "lengths", side.corpus, what, advice))
    return findings
