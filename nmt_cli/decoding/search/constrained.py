"""A beam for sentences with phrases to say or to avoid: dynamic beam allocation (Post & Vilar 2018)."""

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from nmt_cli.decoding.rules import Rule, Said, Words
from nmt_cli.decoding.rules.forbidden import Forbidden
from nmt_cli.decoding.rules.prefix import Prefix
from nmt_cli.decoding.rules.required import Required
from nmt_cli.decoding.search.choosing import Choice, Continuations, Live, best_words

Kind = TypeVar("Kind")

_MARGIN = 6.0
"""Nats by which the first word of a phrase may be less likely than the best word (benchmarks/results/glossary.md)."""


class Constrained:
    """Candidates are the best words of each hypothesis and what brings each of its phrases forward.

    A phrase is not begun just anywhere, or hypotheses which have said it where it does not belong fill their bank
    before the others get there: its first word must be nearly as likely as the best one. It need not if the model would
    rather say what it may not, as a translation that could end, but for the phrase.

    Those which have said equally much of what is required form a bank. The places of the beam go to the banks in turn
    (by sorting, as in Hu et al. 2019), one at a time, those with most said first: hypotheses that have paid for saying
    a phrase need not compete with those that have not yet. There is a place for each bank at least, be the beam as
    small as it may. Only those that have said all can end; the rule `Required` sees to that.

    Of the rest, at most half may have said a forbidden phrase, and hope that its last word goes on.

    A sentence without such wishes is searched as by the plain beam.
    """

    def __init__(self, beam: int, end: int, required: Required | None, forbidden: Forbidden | None) -> None:
        self.beam, self.end, self.required, self.forbidden = beam, end, required, forbidden
        self._widest = beam if required is None else max(beam, int(required.total.max()) + 1)

    def __call__(self, words: Words, live: Live, sentences: Tensor) -> Choice:
        said = Said(live.tokens, sentences, sentences)
        tokens, is_double = self._candidates(words, said)
        found = Continuations.by(tokens, words, live).without(is_double)
        order = found.rank.sort(dim=1, descending=True, stable=True).indices
        found = found.take(order)
        if self.forbidden is not None:
            risky = self.forbidden.is_risky(tokens, said).flatten(1).gather(1, order)
            found = found.without(risky & (risky.cumsum(1) > self.beam // 2))
        if self.required is None:
            best = found.best_first()
            return Choice(best.first(self.beam).ending(self.end), best.not_ending(self.end, self.beam))
        missing = self.required.missing(tokens, said).flatten(1).gather(1, order)
        complete = found.without(missing > 0).best_first().first(self.beam)
        going_on = found.without(found.tokens == self.end)
        going_on = going_on.take(self._by_turn(going_on.rank, missing)[:, : self._widest])
        total = self.required.total[sentences].to(missing.device)
        width = torch.where(total > 0, total + 1, 0).clamp(min=self.beam).unsqueeze(1)
        beyond = torch.arange(going_on.rank.size(1), device=missing.device) >= width
        return Choice(complete.ending(self.end), going_on.without(beyond))

    def _candidates(self, words: Words, said: Said) -> tuple[Tensor, Tensor]:
        """Words [B,k,c] after each hypothesis, by number, and which of them are there a second time."""
        best = best_words(words.ranked, self.beam + (self.forbidden.most if self.forbidden is not None else 0))
        if self.required is None:
            return best, torch.zeros_like(best, dtype=torch.bool).flatten(1)
        following = self.required.next_tokens(said)
        likely = words.ranked.gather(-1, following.clamp(min=0)) >= words.ranked.amax(-1, keepdim=True) - _MARGIN
        allowed = words.own.masked_fill(words.ranked == -torch.inf, -torch.inf).logsumexp(-1, keepdim=True)
        fitting = likely | self.required.is_begun(said) | (allowed < math.log(0.5))
        following = torch.where(fitting & (following >= 0), following, best[..., :1])
        tokens = torch.cat([best, following], dim=2).sort(2).values
        is_double = torch.zeros_like(tokens, dtype=torch.bool)
        is_double[..., 1:] = tokens[..., 1:] == tokens[..., :-1]
        return tokens, is_double.flatten(1)

    def _by_turn(self, rank: Tensor, missing: Tensor) -> Tensor:
        """The order [B,n] of candidates, given best first, when each bank in turn gives its best."""
        missing = missing.masked_fill(rank == -torch.inf, self._widest)  # impossible ones are a bank after all others
        banks, order = missing.sort(dim=1, stable=True)
        turn = torch.arange(banks.size(1), device=banks.device) - torch.searchsorted(banks, banks)
        turn = turn.masked_fill(banks == self._widest, banks.size(1))
        return order.gather(1, turn.sort(dim=1, stable=True).indices)  # within a turn the banks stay in order


def find_rules(rules: Sequence[Rule], kind: type[Kind]) -> Iterator[Kind]:
    """Those of one kind."""
    for rule in rules:
        if isinstance(rule, kind):
            yield rule
        if isinstance(rule, Prefix):
            yield from find_rules(rule.others, kind)
