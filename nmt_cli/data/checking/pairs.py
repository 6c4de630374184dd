"""Checks of the pairs of a corpus: empty, identical, misaligned or too long sides."""

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nmt_cli.data.arrays import Integers, RaggedArray
from nmt_cli.data.checking import DataFinding, percentage
from nmt_cli.data.checking.sampling import CorpusSample, Excerpt, Pair
from nmt_cli.text.checks.scripts import base_language
from nmt_cli.text.normalization import is_blank

LengthUnit = Literal["tokens", "characters"]
BINS: dict[LengthUnit, tuple[int, ...]] = {
    "tokens": (0, 5, 10, 20, 40, 80, 160),
    "characters": (0, 20, 40, 80, 160, 320, 640),
}
"""Minimum length of each bin of a histogram; the last bin is unbounded."""
_MAX_EMPTY = 0.05
_MAX_IDENTICAL = 0.1
_MAX_TOO_LONG = 0.02
"""Fractions of the pairs."""
_MAX_MEDIAN = 100
"""Tokens. A longer median occurs only where lines are not sentences."""
_MIN_PAIRS = 100
"""Fewer pairs are not enough to judge a fraction."""
_LAGS = range(-3, 4)
_MIN_CORRELATED_PAIRS = 400
"""Minimum number of pairs for a correlation of lengths; by chance, one in a thousand reaches 0.16."""
_UNRELATED, _RELATED = 0.16, 0.4
"""Correlation of the lengths of the two sides: below the first they are unrelated, above the second related."""


def check_empty_sides(corpus: CorpusSample) -> list[DataFinding]:
    """Report a corpus without pairs, or with many empty sides."""
    pairs = corpus.pairs
    num_empty = sum(is_blank(source) or is_blank(target) for source, target in pairs)
    if num_empty == len(pairs):
        message = "every pair has an empty side" if pairs else "there are no pairs"
        return [DataFinding("error", "sides", corpus.name, message, "check that these are the right files")]
    if num_empty < _MAX_EMPTY * len(pairs):
        return []
    message = f"{percentage(num_empty, len(pairs))} of the pairs have an empty side"
    advice = "they are dropped; check that the two files belong together"
    return [DataFinding("warning", "sides", corpus.name, message, advice)]


def check_documents(corpus: CorpusSample) -> list[DataFinding]:
    """Report a corpus without documents."""
    if not all(is_blank(text) for text in corpus.sides["target"]):
        return []
    return [DataFinding("error", "files", corpus.name, "there are no documents", "check that this is the right file")]


def check_identical_sides(corpus: CorpusSample) -> list[DataFinding]:
    """Report a corpus with many pairs that are not translated."""
    if base_language(corpus.languages[0]) == base_language(corpus.languages[1]):
        return []
    pairs = [pair for pair in corpus.pairs if any(map(str.isalpha, pair[0]))]
    num_identical = sum(source.strip().casefold() == target.strip().casefold() for source, target in pairs)
    if len(pairs) < _MIN_PAIRS or num_identical < _MAX_IDENTICAL * len(pairs):
        return []
    message = f"source and target are the same in {percentage(num_identical, len(pairs))} of the pairs"
    advice = "they teach a model to copy; use the filter `identical`, and check that these are the right files"
    return [DataFinding("warning", "sides", corpus.name, message, advice)]


def check_alignment(corpus: CorpusSample) -> list[DataFinding]:
    """Report sides that are not translations line by line: their lengths do not correlate.

    The lengths of translations correlate in any two languages; those of unrelated lines do not.
    """
    if len(corpus.pairs) < _MIN_CORRELATED_PAIRS:
        return []
    by_lag = {lag: _correlation(_shifted_pairs(corpus.excerpts, lag)) for lag in _LAGS}
    best = max(by_lag, key=lambda lag: by_lag[lag])
    if math.isnan(by_lag[0]):
        return []  # all lines of a side have the same length
    if found := _check_alignment_break(corpus):
        return found
    if by_lag[0] < _UNRELATED and by_lag[best] > _RELATED:
        message = f"line n of the source matches line n{best:+} of the target, not line n"
        advice = "find the missing or additional line near the beginning"
        return [DataFinding("error", "alignment", corpus.name, message, advice)]
    if by_lag[0] < _UNRELATED:
        message = f"the two sides do not look like translations (correlation of line lengths: {by_lag[0]:.2f})"
        advice = "look at some pairs in the middle; was one side shuffled or sorted, or is it of another corpus?"
        return [DataFinding("warning", "alignment", corpus.name, message, advice)]
    return []


def _check_alignment_break(corpus: CorpusSample) -> list[DataFinding]:
    """Report a line from which on the sides no longer match, such as where one side lost a line."""
    groups = _groups_to_correlate(corpus.excerpts)
    found = [_correlation([pair for excerpt in group for pair in excerpt.pairs]) for group in groups]
    start = len(found)
    while start and found[start - 1] < _UNRELATED:
        start -= 1
    num_unrelated = len(found) - start
    if not num_unrelated:
        return []
    if start and found[start - 1] < _RELATED:
        start -= 1  # the break is in this group
    if not start or not all(value > _RELATED for value in found[:start]):
        return []
    near = [excerpt for group in groups[max(0, start - 1) : start + 2] for excerpt in group]
    line, lag = _locate_shift(near)
    if num_unrelated < 2 and not lag:
        return []  # one group may be a list of names or the like
    message = f"the two sides match up to about line {line:,}, but not after it"
    if lag:
        message += f": line n of the source then matches line n{lag:+} of the target"
    return [DataFinding("error", "alignment", corpus.name, message, "find the line there that one side lacks")]


def _locate_shift(excerpts: Sequence[Excerpt]) -> tuple[int, int]:
    """Return the last line at which the sides match, and the lag of the target after it; 0 if the lag is unknown.

    The squared difference of log-lengths is small where lines are translations of each other. The best line and lag
    minimise its sum: without lag up to the line, with the lag after it.
    """
    lines = np.concatenate([excerpt.first + np.arange(len(excerpt.pairs)) for excerpt in excerpts])
    lengths = np.log1p([[len(source), len(target)] for excerpt in excerpts for source, target in excerpt.pairs])
    sources, targets = (lengths - np.median(lengths, axis=0)).T
    unlike = float(np.mean((sources - np.random.default_rng(1).permutation(targets)) ** 2))
    matched = np.cumsum((sources - targets) ** 2)
    best, found = np.inf, (int(lines[-1]), 0)
    for lag in _LAGS:
        # Lag 0 stands for lines that do not match at all; half the cost of unrelated lines separates them from others.
        shifted = (sources - np.roll(targets, -lag)) ** 2 if lag else np.full(len(lines), unlike / 2)
        costs = matched + shifted.sum() - np.cumsum(shifted)
        if costs.min() < best:
            best, found = costs.min(), (int(lines[costs.argmin()]), lag)
    return found


def _groups_to_correlate(excerpts: Sequence[Excerpt]) -> list[list[Excerpt]]:
    """Group excerpts until each group has enough pairs. Too few at the end are left out."""
    groups: list[list[Excerpt]] = [[]]
    for excerpt in excerpts:
        if sum(len(other.pairs) for other in groups[-1]) >= _MIN_CORRELATED_PAIRS:
            groups.append([])
        groups[-1].append(excerpt)
    return [group for group in groups if sum(len(excerpt.pairs) for excerpt in group) >= _MIN_CORRELATED_PAIRS]


def _shifted_pairs(excerpts: Sequence[Excerpt], lag: int) -> list[Pair]:
    """Pair each source with the target `lag` lines after its own."""
    shifted: list[Pair] = []
    for pairs in (excerpt.pairs for excerpt in excerpts):
        indices = range(max(0, -lag), min(len(pairs), len(pairs) - lag))
        shifted += [(pairs[index][0], pairs[index + lag][1]) for index in indices]
    return shifted


def _correlation(pairs: Sequence[Pair]) -> float:
    """Return the correlation of the log-lengths in characters; NaN if those of a side are all the same."""
    lengths = np.log1p([[len(source), len(target)] for source, target in pairs if source and target])
    if len(lengths) < 2 or (lengths.std(0) < 0.1).any():
        return math.nan
    return float(np.corrcoef(lengths.T)[0, 1])


@dataclass(frozen=True)
class LengthHistogram:
    """The lengths of the lines of one side of a corpus."""

    corpus: str
    """Recipe key."""
    side: str
    unit: LengthUnit
    lengths: list[int]
    """Ascending."""

    @classmethod
    def of(cls, corpus: str, side: str, unit: LengthUnit, lengths: Sequence[int]) -> "LengthHistogram":
        """Sort the lengths."""
        return cls(corpus, side, unit, sorted(lengths))

    @property
    def fractions(self) -> list[float]:
        """Fraction of the lines in each bin."""
        ends = [bisect_right(self.lengths, start - 1) for start in BINS[self.unit]] + [len(self.lengths)]
        return [(end - start) / max(1, len(self.lengths)) for start, end in itertools.pairwise(ends)]

    @property
    def mean(self) -> float:
        return sum(self.lengths) / max(1, len(self.lengths))


def bin_labels(unit: LengthUnit) -> list[str]:
    """Return the label of each bin: `<END`, or `START+` for the last."""
    return [f"<{end}" for end in BINS[unit][1:]] + [f"{BINS[unit][-1]}+"]


def check_lengths(
    name: str, sides: Sequence[LengthHistogram], longest: Sequence[int], max_length: int
) -> list[DataFinding]:
    """Report how many pairs of a training corpus are lost by their length, and lines that are not sentences.

    Args:
        longest: Tokens of the longer side of each pair.
    """
    num_longer = sum(length > max_length for length in longest)
    if num_longer:
        message = f"{percentage(num_longer, len(longest))} of the pairs have more than {max_length:,} tokens on a side"
        is_much = num_longer > _MAX_TOO_LONG * len(longest)
        advice = (
            "they are dropped; split them into sentences, or raise data.max_length" if is_much else "they are dropped"
        )
        return [DataFinding("warning" if is_much else "fact", "lengths", name, message, advice)]
    return [
        DataFinding(
            "warning",
            "lengths",
            name,
            f"half of the {side.side} lines have more than {side.lengths[len(side.lengths) // 2]:,} tokens",
            "a line should be about one sentence; split paragraphs on both sides in the same way",
        )
        for side in sides
        if side.lengths and side.lengths[len(side.lengths) // 2] > _MAX_MEDIAN
    ]


def needed_upsampling(source_lengths: Integers, targets: RaggedArray) -> Integers:
    """Return the smallest `model.upsampling` with which a CTC model can predict each target.

    It needs a position for each token, and one for a blank between equal tokens.

    Args:
        source_lengths: Tokens of each source, without the eos that is added.
    """
    values, starts, ends = targets.values, targets.offsets[:-1], targets.offsets[1:]
    num_equal = np.append(0, np.cumsum(values[1:] == values[:-1]))  # up to each token, to the one before it
    repeats = np.where(ends > starts, num_equal.take(ends - 1, mode="clip") - num_equal.take(starts, mode="clip"), 0)
    needed: Integers = -(-(targets.lengths + repeats) // (source_lengths + 1))
    return needed


def check_upsampling(name: str, needed: Integers, upsampling: int) -> list[DataFinding]:
    """Report how many pairs of a corpus have targets that a CTC model cannot predict, given `needed_upsampling`."""
    num_longer = int((needed > upsampling).sum())
    if not num_longer:
        return []
    message = (
        f"{percentage(num_longer, len(needed))} of the targets ({num_longer:,}) have more tokens than the upsampled"
        f" source has positions (model.upsampling: {upsampling})"
    )
    is_much = num_longer > _MAX_TOO_LONG * len(needed)
    enough = int(np.quantile(needed, 1 - _MAX_TOO_LONG, method="higher"))
    advice = f"they are not learned; raise model.upsampling to {enough}" if is_much else "they are not learned"
    return [DataFinding("warning" if is_much else "fact", "upsampling", name, message, advice)]
