"""Vocabulary size and maximum length, which follow from the text."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from nmt_cli.recipe.adapting import round_to_two_digits
from nmt_cli.recipe.data import TokenizerSettings

_MAX_SUBWORDS, _MAX_CHARACTERS = 32_000, 8_000
_SUBWORDS = 2.0
"""A text of n characters gets 2 · √n subwords, besides its alphabet. Few are learned better from little text
(Sennrich & Zhang 2019; Gowda & May 2020), but make sentences longer, and training slower. chrF after three minutes on a
CPU: 26.9 with a vocabulary of 1,000 and 30.6 with 2,000 on 6,000 captions; 17.6 with 4,000 and 19.0 with 8,000 on
160,000 short sentences."""
_WORDS_PER_SUBWORD = 4
_NUM_BYTES, _NUM_SPECIAL = 256, 6
_LOST_FRACTION = 0.005
"""Fraction of the pairs that may be dropped for their length."""
_MIN_MAX_LENGTH, _MAX_MAX_LENGTH = 200, 2000
DEFAULT_WINDOW = 256
"""Tokens of text without translations that a language model reads at once."""


@dataclass(frozen=True)
class TextSize:
    """Size of one side of the training text."""

    characters: float
    alphabet: int
    """Number of different characters, without the rarest."""


def default_vocabulary_size(settings: TokenizerSettings, size: TextSize, num_tags: int = 0) -> int:
    """Return the number of subwords, special tokens included, that suits the text of a vocabulary."""
    if settings.algorithm in ("byte", "character"):
        return _MAX_CHARACTERS
    factor = _SUBWORDS * (_WORDS_PER_SUBWORD if settings.algorithm == "word" else 1)
    subwords = min(round_to_two_digits(factor * math.sqrt(size.characters)), _MAX_SUBWORDS)
    others = _NUM_SPECIAL + num_tags + len(settings.symbols) + (_NUM_BYTES if settings.byte_fallback else 0)
    return subwords + _round_up(others + size.alphabet, 50)


def default_max_length(lengths: Iterable[int]) -> int:
    """Return a maximum length that hardly any pair exceeds, given the length in tokens of the longer side of each."""
    ordered = sorted(lengths)
    allowed = ordered[min(len(ordered) - 1, math.ceil((1 - _LOST_FRACTION) * len(ordered)))] if ordered else 0
    return min(max(_MIN_MAX_LENGTH, _round_up(allowed, 50)), _MAX_MAX_LENGTH)


def _round_up(value: float, unit: int) -> int:
    return math.ceil(value / unit) * unit
