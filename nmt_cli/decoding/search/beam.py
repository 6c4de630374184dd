"""Beam search (Graves 2012; Sutskever et al. 2014); greedy search is a beam of one.

Each step extends the active hypotheses of all sentences by one token:

1. step: the model returns logits for the next token of each hypothesis.
2. process: logits processors turn them into scores.
3. select: a selector (see `candidates`) chooses candidates that finish and candidates that stay active.
4. finish: the best finished hypotheses of each sentence are kept.
5. stop: sentences that are done leave the batch.
6. reorder: the cache and the processors' states follow the hypotheses that stay.

A sentence is done when
- `beam_size` hypotheses are finished and no active one would be the best if it ended with its next token. Bad
  hypotheses finish early, one at each step, so their number alone says nothing about a good one that is still active.
  With `early_stopping: true` the number suffices; with `never` this rule is off.
- Or no active hypothesis can still be among the `n_best`. Log-probabilities only fall, so no continuation scores better
  than the present path score at the most favourable length that is still possible. This rule is off if soft processors
  can raise path scores.
- Or the maximum length is reached, or no token may follow. Only if no hypothesis is finished by then, the active ones
  are the result, truncated: without eos, normalized by their own length.

So the best hypothesis is the same for any `n_best`: only the second rule depends on it, and what that rule waits for
cannot be the best. A coverage penalty, which ranks all that are kept, counts as the largest `n_best`.
"""

import itertools
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from nmt_cli.decoding.logits_processors.processor import ProcessorList
from nmt_cli.decoding.search.candidates import ActiveBeams, Candidates, CandidateSelector, gather_rows
from nmt_cli.decoding.search.diverse import group_rows
from nmt_cli.decoding.search.hypotheses import Hypothesis, before_eos, begin_search, normalize_score
from nmt_cli.models.batch_tensors import BatchTensors
from nmt_cli.models.contract import Model, ModelInputs
from nmt_cli.recipe.decoding import BeamSettings


@torch.inference_mode()
def beam_search(
    model: Model,
    inputs: ModelInputs,
    settings: BeamSettings,
    processors: ProcessorList,
    selector: CandidateSelector,
    max_lengths: Tensor,
) -> list[list[Hypothesis]]:
    """Return the best finished hypotheses of each group of each sentence, best first. One host synchronization a step.

    There are fewer than `n_best` if fewer were finished, and none only if the model's logits are not finite.

    Args:
        max_lengths: [B] maximum target tokens, without eos.

    Returns:
        B * num_beam_groups lists, with all groups of a sentence in a row.
    """
    eos, groups, penalty, device = (
        model.vocabulary.special_tokens.eos,
        settings.num_beam_groups,
        settings.length_penalty,
        max_lengths.device,
    )
    group_size = settings.beam_size // groups
    num_kept = min(group_size, settings.beam_size if settings.coverage_penalty else settings.n_best)
    (cache, first_tokens), states = begin_search(model, inputs), processors.begin(len(max_lengths))
    if groups > 1:
        rows = group_rows(len(max_lengths), groups, device)
        first_tokens = first_tokens[rows[:, 0]]
        cache, states, max_lengths = cache.select(rows), processors.select(states, rows), max_lengths[rows[:, 0]]
    is_done = _StoppingCriterion(settings, group_size, can_rise=processors.is_soft)
    beams = ActiveBeams.initial(first_tokens)
    finished = _FinishedHypotheses.empty(len(max_lengths), num_kept, device)
    remaining, completed = torch.arange(len(max_lengths)), list[_CompletedSentences]()  # remaining: on the CPU
    for length in itertools.count(1):  # of a hypothesis that ends in this step, eos included
        logits, cache = model.step(beams.tokens[:, :, -1], cache)
        scores, states = processors(logits, beams.tokens, states)
        selection = selector(scores, beams, remaining, states)
        if selection.finished is not None:
            finished = finished.add(selection.finished, beams, eos, length, penalty)
        done = is_done(finished, selection.active.path_scores.amax(1), length, max_lengths).cpu()
        leaving, previous, parents = done.nonzero()[:, 0], beams, selection.active.beam_indices
        beams = beams.extend(selection.active)
        here = torch.arange(len(done), device=device)
        if len(leaving):
            gone, kept = leaving.to(device), done.logical_not().nonzero()[:, 0]
            completed.append(
                _CompletedSentences(remaining[leaving], finished.select(gone), previous.select(gone), length - 1)
            )
            if not len(kept):
                break
            here, remaining = kept.to(device), remaining[kept]
            beams, finished, parents = beams.select(here), finished.select(here), parents[here]
            max_lengths = max_lengths[here]
        if len(leaving) or parents.size(1) > 1:
            rows = here.unsqueeze(1) * previous.path_scores.size(1) + parents
            cache, states = cache.select(rows), processors.select(states, rows)
    return _collect_n_best(completed, num_kept, eos, penalty)


@dataclass(frozen=True)
class _FinishedHypotheses(BatchTensors):
    """The best finished hypotheses of each sentence, best first. Places still free have the score -inf."""

    tokens: Tensor
    """[B,n,t], bos first, padded with eos."""
    log_probs: Tensor
    """[B,n]"""
    scores: Tensor
    """[B,n], normalized."""
    count: Tensor
    """[B], of all that were finished, kept or not."""

    @classmethod
    def empty(cls, batch_size: int, num_kept: int, device: torch.device) -> Self:
        impossible = torch.full((batch_size, num_kept), -torch.inf, device=device)
        tokens = torch.empty(batch_size, num_kept, 0, dtype=torch.long, device=device)
        return cls(tokens, impossible, impossible, torch.zeros(batch_size, dtype=torch.long, device=device))

    def add(self, candidates: Candidates, beams: ActiveBeams, eos: int, length: int, length_penalty: float) -> Self:
        new_scores = normalize_score(candidates.path_scores, length, length_penalty)
        log_probs = torch.cat([self.log_probs, candidates.log_probs], dim=1)
        scores = torch.cat([self.scores, new_scores], dim=1)
        missing = beams.tokens.size(2) - self.tokens.size(2)
        new_tokens = gather_rows(beams.tokens, candidates.beam_indices)
        tokens = torch.cat([pad(self.tokens, (0, missing), value=eos), new_tokens], dim=1)
        order = scores.sort(dim=1, descending=True, stable=True).indices[:, : self.scores.size(1)]
        count = self.count + candidates.path_scores.isfinite().sum(1)
        return type(self)(gather_rows(tokens, order), log_probs.gather(1, order), scores.gather(1, order), count)


@dataclass(frozen=True)
class _CompletedSentences:
    """Sentences that left the batch. Kept on the device, and read only after the search, to avoid synchronization."""

    sentences: Tensor
    """[B'] indices, on the CPU."""
    finished: _FinishedHypotheses
    active: ActiveBeams
    active_length: int


@dataclass(frozen=True)
class _StoppingCriterion:
    """The rules of the module docstring."""

    settings: BeamSettings
    beam_size: int
    can_rise: bool
    """Whether processors can raise path scores."""

    def __call__(self, finished: _FinishedHypotheses, best_active: Tensor, length: int, max_lengths: Tensor) -> Tensor:
        """Return which sentences [B] are done.

        Args:
            best_active: [B] best path score of the active hypotheses, all of `length` tokens.
        """
        early, penalty = self.settings.early_stopping, self.settings.length_penalty
        best, worst = finished.scores[:, 0], finished.scores[:, -1]
        done = length > max_lengths
        if early != "never":
            has_enough = finished.count >= self.beam_size
            done |= has_enough if early else has_enough & (best >= normalize_score(best_active, length + 1, penalty))
        if not self.can_rise:
            longest = max_lengths.double() + 1 if penalty > 0 else torch.full_like(max_lengths, length + 1).double()
            done |= worst > normalize_score(best_active, longest, penalty)
        return done | (best_active == -torch.inf) if length > 1 else done


def _collect_n_best(
    completed: list[_CompletedSentences], n_best: int, eos: int, length_penalty: float
) -> list[list[Hypothesis]]:
    found: dict[int, list[Hypothesis]] = {}
    for group in completed:
        finished, active = group.finished, group.active
        active_scores = normalize_score(active.path_scores, group.active_length, length_penalty)
        complete = _hypotheses(finished.tokens, finished.log_probs, finished.scores, eos, has_eos=True)
        truncated = _hypotheses(active.tokens, active.log_probs, active_scores, eos, has_eos=False)
        for sentence, some, rest in zip(group.sentences.tolist(), complete, truncated, strict=True):
            found[sentence] = (some or rest)[:n_best]
    return [found[sentence] for sentence in range(len(found))]


def _hypotheses(
    tokens: Tensor, log_probs: Tensor, scores: Tensor, eos: int, *, has_eos: bool
) -> list[list[Hypothesis]]:
    columns = zip(tokens[:, :, 1:].tolist(), log_probs.tolist(), scores.tolist(), strict=True)
    return [
        [
            Hypothesis(before_eos(row, eos), log_prob, score, has_eos)
            for row, log_prob, score in zip(*sentence, strict=True)
            if score > -torch.inf  # false for free places, and for NaN
        ]
        for sentence in columns
    ]
