"""Rules that hold for every sentence: what is never said, and how short a translation may be."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nmt_cli.decoding.rules.rule import Said


class Forbid:
    """Some tokens are never said, such as padding."""

    soft = False

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens = list(tokens)

    def __call__(self, scores: Tensor, said: Said) -> None:
        scores.index_fill_(-1, torch.tensor(self.tokens, device=scores.device), -torch.inf)


class MinimumLength:
    """A translation has at least so many tokens before it ends."""

    soft = False

    def __init__(self, tokens: int, end: int) -> None:
        self.tokens, self.end = tokens, end

    def __call__(self, scores: Tensor, said: Said) -> None:
        if said.length <= self.tokens:
            scores[..., self.end] = -torch.inf
