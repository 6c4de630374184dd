"""What search finds: hypotheses, and the value that ranks them."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from nmt_cli.models.contract import Source


@dataclass(frozen=True)
class Hypothesis:
    """A translation in tokens, and what the model thinks of it."""

    tokens: tuple[int, ...]
    """Without start and end."""
    log_probability: float
    """Natural logarithm, under the model's own distribution; of the end token too, if the model said it."""
    score: float
    """What ranks it: log_probability / length^length_penalty; the length counts the end token if it was said."""


def best_first(hypotheses: Iterable[Hypothesis]) -> list[Hypothesis]:
    """Sort by score; equals stay in order."""
    return sorted(hypotheses, key=lambda hypothesis: hypothesis.score, reverse=True)


def before_end(tokens: Iterable[int], end: int) -> tuple[int, ...]:
    """What was said before the first end token, or all."""
    return tuple(itertools.takewhile(lambda token: token != end, tokens))


def longest_translation(length: int, ratio: float) -> int:
    """How many tokens, the end apart, a translation of so many may have."""
    return int(length * ratio) + 10


def longest_translations(source: Source, ratio: float) -> Tensor:
    """The same [B] for each sentence of a batch."""
    batch, padded = source.tokens.shape
    lengths = source.tokens.new_full((batch,), padded) if source.lengths is None else source.lengths
    return ((lengths - 1).double() * ratio).long() + 10
