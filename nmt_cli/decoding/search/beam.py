"""Beam search (Graves 2012; Sutskever et al. 2014); greedy search is a beam of one.

Each step looks at all continuations of a sentence's live hypotheses; a chooser (see `choosing`) says which of them end
and are finished, and which live on. A sentence is done, and leaves the batch, when
- `beam_size` hypotheses are finished, and no live one would be among the `n_best` if it ended with its next word
  (bad ones finish early, one each step, so their number alone says nothing of a good one that is still going; with
  `early_stop: first` it is enough, with `never` it does not matter), or
- no live hypothesis can still be ranked among the `n_best`: since log-probabilities only fall, none will score better
  than its present rank at the most favourable length still possible (not asked where soft rules can add to a rank), or
- its translations may not become longer, or no word may follow any more. Only if none is finished by then, the live
  ones are the result, scored by their rank and length, without an end.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from nmt_cli.decoding.rules import Rule, Said, Words
from nmt_cli.decoding.rules.forbidden import Forbidden
from nmt_cli.decoding.rules.required import Required
from nmt_cli.decoding.search.choosing import BestOfAll, Chooser, Continuations, Live, rows
from nmt_cli.decoding.search.constrained import Constrained, find_rules
from nmt_cli.decoding.search.coverage import by_coverage
from nmt_cli.decoding.search.diverse import Diverse, merged
from nmt_cli.decoding.search.hypotheses import Hypothesis, before_end, longest_translations
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.models.contract import Model, ModelInputs
from nmt_cli.recipe.decoding import BeamSettings


@torch.inference_mode()
def beam_search(
    model: Model,
    source: ModelInputs,
    settings: BeamSettings,
    rules: Sequence[Rule],
    sentences: Sequence[Sentence],
) -> list[list[Hypothesis]]:
    """The `n_best` hypotheses of each sentence, best first; fewer where fewer were finished.

    None at all only if the model's scores are not numbers. One host synchronisation a step. Each group of a diverse
    beam is searched as a sentence of its own.
    """
    end, groups, penalty = model.vocabulary.special_tokens.eos, settings.groups, settings.length_penalty
    beam = settings.beam_size // groups
    places = said_by = torch.arange(len(sentences)).repeat_interleave(groups)
    longest = longest_translations(source, settings, sentences).repeat_interleave(groups)
    is_done = _Stopping(settings, beam, soft=any(rule.soft for rule in rules))
    choose = _chooser(settings, rules, end)
    live = Live.only_start(len(places), model.vocabulary.special_tokens.decoder_start, longest.device)
    most = settings.beam_size if settings.coverage_penalty else settings.n_best
    finished = _Finished.none(len(places), min(beam, most), longest.device)
    remaining, ended = torch.arange(len(places)), list[_Ended]()
    state = model.init_cache(model.encode(source), source.batch_size)
    if groups > 1:
        state = state.select(places.unsqueeze(1).to(longest.device))
    for length in itertools.count(1):  # of a hypothesis that ends in this step, its end counted
        scores, state = model.step(live.tokens[:, :, -1], state)
        choice = choose(Words.ruled(scores, rules, Said(live.tokens, said_by, remaining)), live, remaining)
        if choice.ending is not None:
            finished = finished.including(choice.ending, live, end, length**penalty)
        done = is_done(finished, choice.going_on.rank.amax(1), length, longest).cpu()
        left, before, parents = done.nonzero()[:, 0], live, choice.going_on.parents
        live = live.extended(choice.going_on)
        here = torch.arange(len(done), device=longest.device)
        if len(left):
            gone, kept = left.to(longest.device), done.logical_not().nonzero()[:, 0]
            normalizer = max(1, length - 1) ** penalty
            ended.append(_Ended(remaining[left], finished.select(gone), before.select(gone), normalizer))
            if not len(kept):
                break
            here, remaining, said_by = kept.to(longest.device), remaining[kept], said_by[kept]
            live, finished, parents = live.select(here), finished.select(here), parents[here]
            longest = longest[here]
        if len(left) or parents.size(1) > 1:
            state = state.select(here.unsqueeze(1) * before.rank.size(1) + parents)
    found = _collected(ended, len(places), min(beam, most), end)
    if groups > 1:
        found = [merged(found[row : row + groups], most) for row in range(0, len(found), groups)]
    if settings.coverage_penalty:
        found = by_coverage(model, source, found, settings.coverage_penalty)
    return [hypotheses[: settings.n_best] for hypotheses in found]


def _chooser(settings: BeamSettings, rules: Sequence[Rule], end: int) -> Chooser:
    required = next(find_rules(rules, Required), None)
    forbidden = next((rule for rule in find_rules(rules, Forbidden) if rule.patient), None)
    if settings.groups > 1:
        return Diverse(settings.groups, settings.diversity, settings.beam_size // settings.groups, end)
    if required is not None or forbidden is not None:
        return Constrained(settings.beam_size, end, required, forbidden)
    return BestOfAll(settings.beam_size, end)


@dataclass(frozen=True)
class _Finished:
    """The best finished hypotheses, best first: tokens [B,n,t] with start, filled up with end; others [B,n].

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

    def including(self, ending: Continuations, live: Live, end: int, normalizer: float) -> Self:
        log_probability = torch.cat([self.log_probability, ending.log_probability], dim=1)
        score = torch.cat([self.score, ending.rank / normalizer], dim=1)
        missing = live.tokens.size(2) - self.tokens.size(2)
        tokens = torch.cat([pad(self.tokens, (0, missing), value=end), rows(live.tokens, ending.parents)], dim=1)
        order = score.sort(dim=1, descending=True, stable=True).indices[:, : self.score.size(1)]
        count = self.count + ending.rank.isfinite().sum(1)
        return type(self)(rows(tokens, order), log_probability.gather(1, order), score.gather(1, order), count)

    def select(self, sentences: Tensor) -> Self:
        return type(self)(
            self.tokens[sentences], self.log_probability[sentences], self.score[sentences], self.count[sentences]
        )


@dataclass(frozen=True)
class _Ended:
    """Sentences that left the batch, by number, with what they had; read only after the search, without waiting."""

    sentences: Tensor
    finished: _Finished
    live: Live
    normalizer: float


@dataclass(frozen=True)
class _Stopping:
    """Tells which sentences are done."""

    settings: BeamSettings
    beam: int
    soft: bool
    """Whether rules can add to a rank."""

    def __call__(self, finished: _Finished, best_live: Tensor, length: int, longest: Tensor) -> Tensor:
        """Which [B] are done, the best rank [B] of the live ones, all of `length` tokens, given."""
        worst, early, penalty = finished.score[:, -1], self.settings.early_stop, self.settings.length_penalty
        done = length > longest
        if early != "never":
            enough = finished.count >= self.beam
            done |= enough & (worst >= best_live / (length + 1) ** penalty) if early == "settled" else enough
        if not self.soft:
            # A hypothesis cannot pass the score of its rank at the most favourable length, however it goes on.
            favourable = longest.double() + 1 if penalty > 0 else torch.full_like(longest, length + 1).double()
            done |= worst > best_live / favourable**penalty
        return done | (best_live == -torch.inf) if length > 1 else done


def _collected(ended: list[_Ended], batch: int, n_best: int, end: int) -> list[list[Hypothesis]]:
    found: list[list[Hypothesis]] = [[] for _ in range(batch)]
    for group in ended:
        finished, live = group.finished, group.live
        complete = _hypotheses(finished.tokens, finished.log_probability, finished.score, end, ended=True)
        cut_off = _hypotheses(live.tokens, live.log_probability, live.rank / group.normalizer, end, ended=False)
        for sentence, some, rest in zip(group.sentences.tolist(), complete, cut_off, strict=True):
            found[sentence] = (some or rest)[:n_best]
    return found


def _hypotheses(
    tokens: Tensor, log_probability: Tensor, score: Tensor, end: int, *, ended: bool
) -> list[list[Hypothesis]]:
    columns = zip(tokens[:, :, 1:].tolist(), log_probability.tolist(), score.tolist(), strict=True)
    return [
        [
            Hypothesis(before_end(row, end), total, ranked, ended)
            for row, total, ranked in zip(*sentence, strict=True)
            if ranked > -torch.inf  # neither a free place nor not a number
        ]
        for sentence in columns
    ]
