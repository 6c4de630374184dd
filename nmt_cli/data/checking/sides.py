"""Whether the two sides of a corpus are what they should be: there, different, and translations line by line."""

import math
from collections.abc import Sequence

import numpy as np

from nmt_cli.data.checking.finding import Finding, share
from nmt_cli.data.checking.sampling import Pair, Sample, Stretch
from nmt_cli.text.checks.scripts import base_language
from nmt_cli.text.lines import is_blank

_MANY_EMPTY = 0.05
_MANY_IDENTICAL = 0.1
_FEW = 100
"""With fewer pairs, a share says nothing."""
_LAGS = range(-3, 4)
_ENOUGH = 400
"""Pairs from which a correlation of lengths is believed: by chance, one in a thousand reaches 0.16."""
_UNRELATED, _RELATED = 0.16, 0.4
"""Correlations of the lengths of the two sides: below one they tell nothing of each other, above the other they do."""


def empty_sides(corpus: Sample) -> list[Finding]:
    """Finds a corpus without pairs, or with many of which a side is empty."""
    pairs = corpus.pairs
    empty = sum(is_blank(source) or is_blank(target) for source, target in pairs)
    if empty == len(pairs):
        what = "every pair has an empty side" if pairs else "there are no pairs"
        return [Finding("error", "sides", corpus.name, what, "see whether these are the right files")]
    if empty < _MANY_EMPTY * len(pairs):
        return []
    what = f"{share(empty, len(pairs))} of the pairs have an empty side"
    return [Finding("warning", "sides", corpus.name, what, "they are dropped; see whether the sides belong together")]


def identical_sides(corpus: Sample) -> list[Finding]:
    """Finds a corpus that says the same in both languages, as text that is not translated does."""
    if base_language(corpus.languages[0]) == base_language(corpus.languages[1]):
        return []
    pairs = [pair for pair in corpus.pairs if any(map(str.isalpha, pair[0]))]
    same = sum(source.strip().casefold() == target.strip().casefold() for source, target in pairs)
    if len(pairs) < _FEW or same < _MANY_IDENTICAL * len(pairs):
        return []
    what = f"source and target are the same in {share(same, len(pairs))} of the pairs"
    advice = "a model learns to copy from them; use the filter `identical`, and see whether the right files are named"
    return [Finding("warning", "sides", corpus.name, what, advice)]


def alignment(corpus: Sample) -> list[Finding]:
    """Finds sides that are not translations of one another, line by line: long lines do not meet long ones.

    In text of any two languages the lengths of translations go together; those of unrelated lines do not.
    """
    if len(corpus.pairs) < _ENOUGH:
        return []
    by_lag = {lag: _correlation(_shifted(corpus.stretches, lag)) for lag in _LAGS}
    best = max(by_lag, key=lambda lag: by_lag[lag])
    if math.isnan(by_lag[0]):
        return []  # all lines of a side are equally long
    if by_lag[0] < _UNRELATED and by_lag[best] > _RELATED:
        what = f"line n of the source fits line n{best:+} of the target, and not line n"
        return [Finding("error", "alignment", corpus.name, what, "a line is missing or too many near the beginning")]
    if by_lag[0] < _UNRELATED:
        what = f"the two sides do not look like translations, line by line (their lengths correlate by {by_lag[0]:.2f})"
        advice = "look at some pairs in the middle; was one side shuffled or sorted, or is it of another corpus?"
        return [Finding("warning", "alignment", corpus.name, what, advice)]
    return _broken_off(corpus)


def _broken_off(corpus: Sample) -> list[Finding]:
    """Finds a place from which on the sides do not fit any more, such as where one has lost a line."""
    parts = _parts(corpus.stretches)
    found = [_correlation([pair for stretch in part for pair in stretch.pairs]) for part in parts]
    begin = len(found)
    while begin and found[begin - 1] < _UNRELATED:
        begin -= 1
    if len(found) - begin < 2:
        return []
    if begin and found[begin - 1] < _RELATED:
        begin -= 1  # the place is in this part
    if not begin or not all(value > _RELATED for value in found[:begin]):
        return []
    what = f"the two sides do not fit from about line {parts[begin][0].first:,} on, though they do before"
    return [Finding("error", "alignment", corpus.name, what, "look there for a line that one side lacks")]


def _parts(stretches: Sequence[Stretch]) -> list[list[Stretch]]:
    """Stretches put together until there are pairs enough to judge; too few at the end are left out."""
    parts: list[list[Stretch]] = [[]]
    for stretch in stretches:
        if sum(len(other.pairs) for other in parts[-1]) >= _ENOUGH:
            parts.append([])
        parts[-1].append(stretch)
    return [part for part in parts if sum(len(stretch.pairs) for stretch in part) >= _ENOUGH]


def _shifted(stretches: Sequence[Stretch], lag: int) -> list[Pair]:
    """Each source with the target that stands `lag` lines after its own."""
    shifted: list[Pair] = []
    for pairs in (stretch.pairs for stretch in stretches):
        places = range(max(0, -lag), min(len(pairs), len(pairs) - lag))
        shifted += [(pairs[place][0], pairs[place + lag][1]) for place in places]
    return shifted


def _correlation(pairs: Sequence[Pair]) -> float:
    """Of the logarithms of lengths in characters; not a number if those of a side are all the same."""
    lengths = np.log1p([[len(source), len(target)] for source, target in pairs if source and target])
    if len(lengths) < 2 or (lengths.std(0) < 0.1).any():
        return math.nan
    return float(np.corrcoef(lengths.T)[0, 1])
