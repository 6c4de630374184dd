"""Beam search (Graves 2012; Sutskever et al. 2014); greedy search is a beam of one.

Each step looks at all continuations of a sentence's live hypotheses. Of the `beam_size` best, those that end are
finished; the `beam_size` best of those that do not end live on; in a beam of one, only the best continuation counts. A
sentence is done, and leaves the batch, when
- `beam_size` hypotheses are finished, and no live one would be among the `n_best` if it ended with its next word
  (bad ones finish early, one each step, so their number alone says nothing of a good one that is still going), or
- no live hypothesis can still be ranked among the `n_best`: since log-probabilities only fall, none will score better
  than its present log-probability at the most favourable length still possible, or
- its translations may not become longer. Only if none is finished by then, the live ones are the result, scored by
  their log-probability and length, without an end.
Of equal continuations the one of the better prefix comes first, then the one of the lower token number; but which of
equal words are among the best `beam_size` + 1 after a hypothesis is torch's choice.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from nmt_cli.decoding.hypotheses import Hypothesis, before_end, longest_translations
from nmt_cli.decoding.rules import Rule
from nmt_cli.models.contract import Source, TranslationModel
from nmt_cli.recipe.decoding import BeamSettings


@torch.inference_mode()
def beam_search(
    model: TranslationModel, source: Source, settings: BeamSettings, rules: Sequence[Rule], lines: Sequence[int]
) -> list[list[Hypothesis]]:
    """The `n_best` hypotheses of each sentence, best first; fewer where fewer were finished.

    None at all only if the model's scores are not numbers. `lines` has no influence. One host synchronisation a step.
    """
    end, beam, penalty = model.vocabularies.end, settings.beam_size, settings.length_penalty
    longest = longest_translations(source, settings.max_length_ratio)
    live = _Live.only_start(len(lines), model.vocabularies.start, longest.device)
    finished = _Finished.none(len(lines), settings.n_best, longest.device)
    remaining, ended = torch.arange(len(lines)), list[_Ended]()
    state = model.start(model.encode(source))
    for length in itertools.count(1):  # of a hypothesis that ends in this step, its end counted
        scores, state = model.step(live.tokens[:, :, -1], state)
        found = _continuations(scores.float(), live, beam, rules, length)
        finished = finished.including(found.ending(end, beam), live, end, length**penalty)
        going_on = found.not_ending(end, beam)
        worst, best_live = finished.score[:, -1], going_on.log_probability[:, 0]
        hopeless = worst > _best_possible(best_live, length, longest, penalty)
        enough = (finished.count >= beam) & (worst >= best_live / (length + 1) ** penalty)
        done = (enough | (length > longest) | hopeless).cpu()
        kept, left = done.logical_not().nonzero()[:, 0], done.nonzero()[:, 0]
        if len(left):
            here = left.to(longest.device)
            ended.append(
                _Ended(remaining[left], finished.select(here), live.select(here), max(1, length - 1) ** penalty)
            )
        if not len(kept):
            break
        here = kept.to(longest.device)
        if len(left) or beam > 1:
            state = state.select(here.unsqueeze(1) * live.log_probability.size(1) + going_on.parents[here])
        live = live.extended(going_on).select(here)
        finished, longest, remaining = finished.select(here), longest[here], remaining[kept]
    return _collected(ended, len(lines), settings.n_best, end)


@dataclass(frozen=True)
class _Continuations:
    """Ways to go on: by which word [B,n], after which live hypothesis [B,n], log-probability [B,n] with it."""

    tokens: Tensor
    parents: Tensor
    log_probability: Tensor

    def ending(self, end: int, beam: int) -> Self:
        """Those of the `beam` best which end; the others become impossible."""
        ends = self.tokens[:, :beam] == end
        log_probability = self.log_probability[:, :beam].masked_fill(~ends, -torch.inf)
        return type(self)(self.tokens[:, :beam], self.parents[:, :beam], log_probability)

    def not_ending(self, end: int, beam: int) -> Self:
        """The `beam` best of those which do not end; should there be fewer, the rest is impossible."""
        ends = self.tokens == end
        order = ends.long().sort(dim=1, stable=True).indices[:, :beam]
        log_probability = self.log_probability.masked_fill(ends, -torch.inf)
        return type(self)(*(part.gather(1, order) for part in (self.tokens, self.parents, log_probability)))


@dataclass(frozen=True)
class _Live:
    """Unfinished hypotheses: tokens [B,k,1+t] with start, log_probability [B,k]."""

    tokens: Tensor
    log_probability: Tensor

    @classmethod
    def only_start(cls, batch: int, start: int, device: torch.device) -> Self:
        return cls(torch.full((batch, 1, 1), start, device=device), torch.zeros(batch, 1, device=device))

    def extended(self, by: _Continuations) -> Self:
        tokens = torch.cat([_rows(self.tokens, by.parents), by.tokens.unsqueeze(-1)], dim=2)
        return type(self)(tokens, by.log_probability)

    def select(self, sentences: Tensor) -> Self:
        return type(self)(self.tokens[sentences], self.log_probability[sentences])


@dataclass(frozen=True)
class _Finished:
    """The best finished hypotheses, best first: tokens [B,n,1+t] with start, filled up with end; others [B,n].

    Places still free have the score -inf. `count` [B] is of all that were finished, kept or not.
    """

    tokens: Tensor
    log_probability: Tensor
    score: Tensor
    count: Tensor

    @classmethod
    def none(cls, batch: int, n_best: int, device: torch.device) -> Self:
        impossible = torch.full((batch, n_best), -torch.inf, device=device)
        tokens = torch.empty(batch, n_best, 0, dtype=torch.long, device=device)
        return cls(tokens, impossible, impossible, torch.zeros(batch, dtype=torch.long, device=device))

    def including(self, ending: _Continuations, live: _Live, end: int, normalizer: float) -> Self:
        log_probability = torch.cat([self.log_probability, ending.log_probability], dim=1)
        score = torch.cat([self.score, ending.log_probability / normalizer], dim=1)
        tokens = torch.cat([pad(self.tokens, (0, 1), value=end), _rows(live.tokens, ending.parents)], dim=1)
        order = score.sort(dim=1, descending=True, stable=True).indices[:, : self.score.size(1)]
        count = self.count + ending.log_probability.isfinite().sum(1)
        return type(self)(_rows(tokens, order), log_probability.gather(1, order), score.gather(1, order), count)

    def select(self, sentences: Tensor) -> Self:
        return type(self)(
            self.tokens[sentences], self.log_probability[sentences], self.score[sentences], self.count[sentences]
        )


@dataclass(frozen=True)
class _Ended:
    """Sentences that left the batch, by number, with what they had; read only after the search, without waiting."""

    sentences: Tensor
    finished: _Finished
    live: _Live
    normalizer: float


def _continuations(scores: Tensor, live: _Live, beam: int, rules: Sequence[Rule], length: int) -> _Continuations:
    """The best continuations, best first: the `beam` best, and after them enough for `beam` that do not end."""
    logarithm_of_sum = scores.logsumexp(-1, keepdim=True)
    for rule in rules:
        rule(scores, length)
    best, tokens = _best_words(scores, beam)
    log_probability = (live.log_probability.unsqueeze(-1) + best - logarithm_of_sum).flatten(1)
    log_probability, order = log_probability.sort(dim=1, descending=True, stable=True)
    order = order[:, : 2 * beam]
    parents = order.div(tokens.size(2), rounding_mode="floor")
    return _Continuations(tokens.flatten(1).gather(1, order), parents, log_probability[:, : 2 * beam])


def _best_words(scores: Tensor, beam: int) -> tuple[Tensor, Tensor]:
    """Scores and tokens [B,k,c] of the best words after each hypothesis: `beam` that do not end, and the end if good.

    By number, so that a stable sort puts the lower of equals first. A beam of one needs one word: if it ends, all ends.
    """
    if beam == 1:
        best = scores.max(-1, keepdim=True)
        return best.values, best.indices
    tokens = scores.topk(min(beam + 1, scores.size(-1)), sorted=False).indices.sort(-1).values
    return scores.gather(-1, tokens), tokens


def _best_possible(log_probability: Tensor, length: int, longest: Tensor, penalty: float) -> Tensor:
    """The score [B] that a hypothesis, now with `length` tokens and no end, cannot pass however it goes on."""
    favourable = longest.double() + 1 if penalty > 0 else torch.full_like(longest, length + 1, dtype=torch.double)
    return log_probability / favourable**penalty


def _rows(tokens: Tensor, places: Tensor) -> Tensor:
    """Tokens [B,n,t] in the order of places [B,n']."""
    return tokens.gather(1, places.unsqueeze(-1).expand(-1, -1, tokens.size(2)))


def _collected(ended: list[_Ended], batch: int, n_best: int, end: int) -> list[list[Hypothesis]]:
    found: list[list[Hypothesis]] = [[] for _ in range(batch)]
    for group in ended:
        finished, live = group.finished, group.live
        complete = _hypotheses(finished.tokens, finished.log_probability, finished.score, end)
        cut_off = _hypotheses(live.tokens, live.log_probability, live.log_probability / group.normalizer, end)
        for sentence, some, rest in zip(group.sentences.tolist(), complete, cut_off, strict=True):
            found[sentence] = (some or rest)[:n_best]
    return found


def _hypotheses(tokens: Tensor, log_probability: Tensor, score: Tensor, end: int) -> list[list[Hypothesis]]:
    columns = zip(tokens[:, :, 1:].tolist(), log_probability.tolist(), score.tolist(), strict=True)
    return [
        [
            Hypothesis(before_end(row, end), total, ranked)
            for row, total, ranked in zip(*sentence, strict=True)
            if total > -torch.inf  # neither a free place nor not a number
        ]
        for sentence in columns
    ]
