"""Rules of search: what must not be said. They change the ranking, never a log-probability."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class Rule(Protocol):
    """Something that hypotheses must obey."""

    def __call__(self, scores: Tensor, length: int) -> None:
        """Put -inf, in place, into scores [B,k,V] of what must not be the word number `length`, counted from 1."""
        ...


class Forbid:
    """Some tokens are never said, such as padding."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens = list(tokens)

    def __call__(self, scores: Tensor, length: int) -> None:
        scores[..., self.tokens] = -torch.inf


class MinimumLength:
    """A translation has at least so many tokens before it ends."""

    def __init__(self, tokens: int, end: int) -> None:
        self.tokens, self.end = tokens, end

    def __call__(self, scores: Tensor, length: int) -> None:
        if length <= self.tokens:
            scores[..., self.end] = -torch.inf
