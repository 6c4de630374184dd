"""Length tags: classify training pairs by the length of their targets relative to their sources (Lakew et al. 2019)."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from nmt_cli.data.arrays import Array, Integers, starts_of
from nmt_cli.data.tokenizing.tags import length_tag
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.recipe.section import LENGTH_CLASSES, LengthClass

_DIGITS = 4
"""Decimals of bounds that follow from the text."""


def adapted_length_bounds(pairs: Iterable[tuple[str, str]]) -> list[float]:
    """Return the ratios of target to source length that divide pairs into three equal parts."""
    ratios = [length_ratio(*pair) for pair in pairs]
    return [round(float(bound), _DIGITS) for bound in np.quantile(ratios, [1 / 3, 2 / 3])]


def length_ratio(source: str, target: str) -> float:
    """Return the length of a target relative to its source, in characters."""
    return len(target) / max(1, len(source))


class LengthTagger:
    """Replaces the length tag `normal` of sources by that of the relative length of their targets."""

    def __init__(self, bounds: Sequence[float], vocabulary: Vocabulary) -> None:
        """`bounds` is data.length_bounds."""
        self._bounds = list(bounds)
        self._ids: Integers = np.array([vocabulary.tag_id(length_tag(each)) for each in LENGTH_CLASSES])

    def classify(self, pairs: Iterable[tuple[str, str]]) -> Integers:
        """Return the tag id of each pair."""
        low, high = self._bounds
        ratios: Array = np.array([length_ratio(*pair) for pair in pairs], np.float64)
        found: Integers = self._ids[1 - (ratios < low) + (ratios > high)]
        return found

    def replace_tags(self, tokens: Array, lengths: Integers, position: int, tag_ids: Integers) -> None:
        """Write the tags of lines into their tokens.

        Args:
            tokens: Token ids of all lines, one line after another. Changed in place.
            lengths: Tokens of each line.
            position: Index of the length tag in each line.
            tag_ids: The tag of each line.
        """
        tokens[starts_of(lengths) + position] = tag_ids

    def count(self, tokens: Array, lengths: Integers, position: int) -> Counter[LengthClass]:
        """Return the number of lines of each class, by their tags. See `replace_tags`."""
        found = tokens[starts_of(lengths) + position]
        return Counter({each: int((found == i).sum()) for each, i in zip(LENGTH_CLASSES, self._ids, strict=True)})
