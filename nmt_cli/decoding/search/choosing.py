"""How a beam chooses: of all ways to go on, those that end now, and those that live on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from nmt_cli.decoding.rules import Words

_MANY, _GROUP = 2**16, 64
"""From so many ranks on, the best are sought in two stages, first among the maxima of groups of so many words."""


@dataclass(frozen=True)
class Live:
    """Unfinished hypotheses; those that are impossible have the rank -inf."""

    tokens: Tensor
    """[B,k,t], with start."""
    log_probability: Tensor
    """[B,k]"""
    rank: Tensor
    """[B,k], what decides among those of one length: the log-probability with what rules added to it.

    The same tensor while nothing is added, here and in continuations: then it is computed once.
    """

    @classmethod
    def only_start(cls, batch: int, start: int, device: torch.device) -> Self:
        nothing = torch.zeros(batch, 1, device=device)
        return cls(torch.full((batch, 1, 1), start, device=device), nothing, nothing)

    def extended(self, by: "Continuations") -> Self:
        tokens = torch.cat([rows(self.tokens, by.parents), by.tokens.unsqueeze(-1)], dim=2)
        return type(self)(tokens, by.log_probability, by.rank)

    def select(self, sentences: Tensor) -> Self:
        log_probability = self.log_probability[sentences]
        rank = log_probability if self.rank is self.log_probability else self.rank[sentences]
        return type(self)(self.tokens[sentences], log_probability, rank)


@dataclass(frozen=True)
class Continuations:
    """Ways to go on, each [B,n]: by which word, after which live hypothesis, log-probability and rank with it."""

    tokens: Tensor
    parents: Tensor
    log_probability: Tensor
    rank: Tensor

    @classmethod
    def by(cls, tokens: Tensor, words: Words, live: Live) -> Self:
        """Those by the words tokens [B,k,c], c after each hypothesis, n = k·c."""
        places = torch.arange(tokens.size(1) * tokens.size(2), device=tokens.device) // tokens.size(2)
        said = words.own.gather(-1, tokens)
        log_probability = rank = (live.log_probability.unsqueeze(-1) + said).flatten(1)
        if words.ranked is not words.own or live.rank is not live.log_probability:
            ranked = said if words.ranked is words.own else words.ranked.gather(-1, tokens)
            rank = (live.rank.unsqueeze(-1) + ranked).flatten(1)
        return cls(tokens.flatten(1), places.expand(len(tokens), -1), log_probability, rank)

    @classmethod
    def joined(cls, parts: "Sequence[Continuations]", rows: Tensor) -> Self:
        """Those of several lots of sentences, in the order of rows [B]."""
        fields = ((part.tokens, part.parents, part.log_probability, part.rank) for part in parts)
        return cls(*(torch.cat(field)[rows] for field in zip(*fields, strict=True)))

    def best_first(self) -> Self:
        """By rank; equals stay in order."""
        if self.rank.size(1) == 1:
            return self
        return self.take(self.rank.sort(dim=1, descending=True, stable=True).indices)

    def take(self, places: Tensor) -> Self:
        """Those at places [B,m]."""
        return self._each(lambda part: part.gather(1, places))

    def first(self, number: int) -> Self:
        return self._each(lambda part: part[:, :number])

    def ending(self, end: int) -> Self:
        """Those which end; the others become impossible."""
        return self.without(self.tokens != end)

    def not_ending(self, end: int, number: int) -> Self:
        """The first of those which do not end; should there be fewer, the rest is impossible."""
        ends = self.tokens == end
        order = ends.long().sort(dim=1, stable=True).indices[:, :number]
        return self.without(ends).take(order)

    def without(self, where: Tensor) -> Self:
        """Those at [B,n] become impossible."""
        return self._valued(self.tokens, self.parents, lambda part: part.masked_fill(where, -torch.inf))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        return self._valued(change(self.tokens), change(self.parents), change)

    def _valued(self, tokens: Tensor, parents: Tensor, change: Callable[[Tensor], Tensor]) -> Self:
        log_probability = change(self.log_probability)
        rank = log_probability if self.rank is self.log_probability else change(self.rank)
        return type(self)(tokens, parents, log_probability, rank)


@dataclass(frozen=True)
class Choice:
    """What a beam makes of its continuations: `ending` ones are finished, `going_on` ones [B,k] live on."""

    ending: Continuations | None
    """None if it is known that none ends."""
    going_on: Continuations


class Chooser(Protocol):
    """Chooses how a beam goes on."""

    def __call__(self, words: Words, live: Live, sentences: Tensor) -> Choice:
        """sentences [B], on the CPU, are rows of the batch as it was when the search began."""
        ...


class BestOfAll:
    """The plain beam. Of the `beam` best continuations, those that end are finished; the `beam` best of those that
    do not end live on; in a beam of one, only the best continuation counts.

    Of equal continuations the one of the better prefix comes first, then the one of the lower token number; but which
    of equal words are among the best `beam` + 1 after a hypothesis is torch's choice.
    """

    def __init__(self, beam: int, end: int) -> None:
        self.beam, self.end = beam, end

    def __call__(self, words: Words, live: Live, sentences: Tensor) -> Choice:
        best = Continuations.by(best_words(words.ranked, self.beam), words, live).best_first()
        if best.tokens.device.type == "cpu" and not (best.tokens == self.end).any():  # elsewhere, to look is to wait
            return Choice(None, best.first(self.beam))
        return Choice(best.first(self.beam).ending(self.end), best.not_ending(self.end, self.beam))


def best_words(ranked: Tensor, beam: int) -> Tensor:
    """The best words [B,k,c] after each hypothesis: `beam` that do not end, and the end if good.

    By number, so that a stable sort puts the lower of equals first. A beam of one needs one word: if it ends, all ends.
    """
    number = min(beam + 1, ranked.size(-1)) if beam > 1 else 1
    words = _best(ranked, number)
    return words if number == 1 else words.sort(-1).values


def _best(ranked: Tensor, number: int) -> Tensor:
    """The best words [B,k,number] by their rank [B,k,V], in any order; of one, the first of equals."""
    groups = ranked.size(-1) // _GROUP
    if ranked.numel() < _MANY or groups <= number or ranked.device.type != "cpu":
        return ranked.argmax(-1, keepdim=True) if number == 1 else ranked.topk(number, sorted=False).indices
    # The best words are in the groups with the best maxima, or in the rest, which fills no group.
    grouped = ranked[..., : groups * _GROUP].view(*ranked.shape[:-1], groups, _GROUP)
    best = _best(grouped.amax(-1), number)
    found = grouped.gather(-2, best.unsqueeze(-1).expand(*best.shape, _GROUP)).flatten(-2)
    found = torch.cat([found, ranked[..., groups * _GROUP :]], dim=-1)
    best = pad(best, (0, 1), value=groups)
    places = found.argmax(-1, keepdim=True) if number == 1 else found.topk(number, sorted=False).indices
    return best.gather(-1, places // _GROUP) * _GROUP + places % _GROUP


def rows(tokens: Tensor, places: Tensor) -> Tensor:
    """Tokens [B,n,t] in the order of places [B,n']."""
    return tokens.gather(1, places.unsqueeze(-1).expand(-1, -1, tokens.size(2)))
