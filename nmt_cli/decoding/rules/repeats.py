"""Translations that do not repeat themselves."""

import torch
from torch import Tensor

from nmt_cli.decoding.rules.rule import Said


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
