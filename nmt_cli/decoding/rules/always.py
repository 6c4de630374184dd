"""Rules that hold for every sentence: what is never said, how short a translation may be, and repeats."""

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


class NoRepeats:
    """No `length` tokens in a row are said twice (Paulus et al. 2018)."""

    soft = False

    def __init__(self, length: int) -> None:
        self.length = length

    def __call__(self, scores: Tensor, said: Said) -> None:
        words = said.tokens[:, :, 1:]
        if words.size(2) < self.length:
            return
        rows = words.unfold(2, self.length, 1)  # [B,k,t-n,n]
        recent = words[:, :, words.size(2) - self.length + 1 :].unsqueeze(2)
        is_repeated = (rows[..., :-1] == recent).all(-1)
        forbidden = torch.full_like(is_repeated, torch.inf, dtype=scores.dtype).masked_fill(is_repeated, -torch.inf)
        scores.scatter_reduce_(2, rows[..., -1], forbidden, "amin")
