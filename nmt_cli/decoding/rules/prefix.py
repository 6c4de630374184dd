"""Translations that begin as they are told to."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nmt_cli.decoding.rules.rule import Rule, Said
from nmt_cli.decoding.sentences import Phrase


class Prefix:
    """The words of a prefix are said even where other rules, which only forbid, speak against them."""

    soft = False

    def __init__(self, prefixes: Sequence[Phrase], others: Sequence[Rule], device: torch.device) -> None:
        self.others = others
        self._longest = max(map(len, prefixes))
        rows = [[*prefix, *[-1] * (self._longest - len(prefix))] for prefix in prefixes]
        self._tokens = torch.tensor(rows, device=device)

    def __call__(self, scores: Tensor, said: Said) -> None:
        place = said.length - 1
        if place >= self._longest:
            self._others(scores, said)
            return
        word = self._tokens[said.sentences.to(scores.device), place].view(-1, 1, 1)
        is_told, word = word >= 0, word.clamp(min=0).expand(-1, scores.size(1), 1)
        own = scores.gather(2, word)
        self._others(scores, said)
        told = torch.where(is_told, own, scores.gather(2, word))
        scores.masked_fill_(is_told, -torch.inf).scatter_(2, word, told)

    def _others(self, scores: Tensor, said: Said) -> None:
        for rule in self.others:
            rule(scores, said)
