"""Translations that begin as they are told to."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nmt_cli.decoding.rules.rule import Rule, Said
from nmt_cli.decoding.sentences import Phrase, Wishes


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


class Opening:
    """After the prefix, nothing is said but one of some phrases; none of these begins with another.

    So a prefix may end within a word: the phrases are then all ways to spell that word as far as it is known.
    """

    soft = False

    def __init__(self, wishes: Sequence[Wishes], device: torch.device) -> None:
        most = max(len(each.openings) for each in wishes)
        width = 1 + max(len(phrase) for each in wishes for phrase in each.openings)
        rows = []
        for each in wishes:
            phrases = [[*phrase, *[-1] * (width - len(phrase))] for phrase in each.openings or ((),)]
            rows.append(phrases + phrases[:1] * (most - len(phrases)))
        self._phrases = torch.tensor(rows, device=device)  # [B,N,L], each with -1 after its last token
        self._begins = torch.tensor([len(each.prefix) for each in wishes], device=device)
        self._over = max(len(each.prefix) + width for each in wishes if each.openings)

    def __call__(self, scores: Tensor, said: Said) -> None:
        if said.length >= self._over:
            return
        which = said.sentences.to(scores.device)
        phrases, begins = self._phrases[which].unsqueeze(1), self._begins[which].view(-1, 1, 1)  # [B,1,N,L], [B,1,1]
        places = torch.arange(phrases.size(3), device=scores.device)
        recent = said.tokens.gather(2, (begins + 1 + places).clamp(max=said.length - 1).expand(-1, scores.size(1), -1))
        now = said.length - 1 - begins
        agree = (phrases == recent.unsqueeze(2)) | (phrases < 0) | (places >= now.unsqueeze(3))
        begun = agree.all(3)  # [B,k,N]
        following = phrases.gather(3, now.clamp(0, len(places) - 1).unsqueeze(3).expand(-1, 1, phrases.size(2), 1))
        following = following[..., 0].expand_as(begun)
        free = (now < 0) | (begun & (following < 0)).any(2, keepdim=True)
        allowed = torch.zeros_like(scores, dtype=torch.uint8)
        allowed.scatter_reduce_(2, following.clamp(min=0), (begun & (following >= 0)).to(torch.uint8), "amax")
        scores.masked_fill_(~free & (allowed == 0), -torch.inf)
