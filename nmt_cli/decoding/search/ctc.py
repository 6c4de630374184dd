"""Search with CTC models (Graves et al. 2006), which predict a token or a blank at each output position, all at once.

An alignment names a token or the blank for each position. Its translation is what remains when equal neighbours are
merged and then blanks removed: of `a a - a b b -`, with `-` for blank, it is `a a b`. The probability of a translation
is the sum over all of its alignments.

- `best_paths` takes the best token at each position. That is the most probable alignment, and nearly always one of the
  most probable translation.
- `prefix_beam_search` (Graves & Jaitly 2014; Hannun et al. 2014) reads one position after another, and keeps the
  prefixes of translations whose alignments are together the most probable. An n-gram language model, if there is one,
  adds its weighted log-probability of each token when a prefix is extended, and that of eos at the end.
"""

from dataclasses import dataclass
from itertools import compress

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nmt_cli.decoding.scoring.ctc import ctc_log_probabilities, output_log_probs
from nmt_cli.decoding.scoring.ngram import NgramModel
from nmt_cli.decoding.search.hypotheses import Hypothesis, best_first, normalize_score
from nmt_cli.models.contract import Model, ModelInputs
from nmt_cli.recipe.decoding import CtcSearchSettings

_HASH_FACTOR = 6364136223846793005
"""An odd number near 2^62 (Knuth's), so that hashes of different prefixes, modulo 2^64, are different."""
_NONE = -1
"""Stands for the last token of an empty prefix, or of none, and for the token of a position that adds none."""


@torch.inference_mode()
def ctc_search(
    model: Model,
    inputs: ModelInputs,
    settings: CtcSearchSettings,
    suppress_tokens: Tensor,
    ngram_model: NgramModel | None = None,
) -> list[list[Hypothesis]]:
    """Return the `n_best` translations of each sentence, best first. None is empty if any other is possible.

    Their log-probabilities are exact, and without those of an n-gram model, which are part of the score. There are none
    only if the model's logits are not finite.

    Args:
        suppress_tokens: [n], ids that are never generated.
    """
    blank = model.capabilities.blank
    assert blank is not None
    found = list[list[Hypothesis]]()
    for log_probs in output_log_probs(model, inputs):
        allowed = log_probs.index_fill(2, suppress_tokens, -torch.inf)
        if settings.beam_size == 1:
            candidates = [[tokens] for tokens in best_paths(allowed, blank)]
        else:
            ngrams = None if ngram_model is None else NgramScores(ngram_model, _weight(settings), len(allowed))
            candidates = prefix_beam_search(allowed, blank, settings.beam_size, ngrams)
        found += _rank(log_probs, candidates, blank, settings, ngram_model)
    return found


def _rank(
    log_probs: Tensor,
    candidates: list[list[tuple[int, ...]]],
    blank: int,
    settings: CtcSearchSettings,
    ngram_model: NgramModel | None,
) -> list[list[Hypothesis]]:
    """Return the best candidates of each sentence, by their exact log-probabilities."""
    ranked: list[list[Hypothesis]] = [[] for _ in candidates]
    for rank in range(max(map(len, candidates))):
        rows = [index for index, each in enumerate(candidates) if rank < len(each)]
        chosen = log_probs if len(rows) == len(candidates) else log_probs[rows]
        targets = [candidates[row][rank] for row in rows]
        for row, tokens, value in zip(rows, targets, ctc_log_probabilities(chosen, targets, blank), strict=True):
            if value > -torch.inf:  # false for NaN, too
                bonus = 0.0 if ngram_model is None else _weight(settings) * ngram_model.score(tokens)
                score = normalize_score(value + bonus, len(tokens) + 1, settings.length_penalty)
                ranked[row].append(Hypothesis(tokens, value, score))
    return [best_first(hypotheses)[: settings.n_best] for hypotheses in ranked]


def _weight(settings: CtcSearchSettings) -> float:
    return 0.0 if settings.ngram_model is None else settings.ngram_model.weight


def best_paths(log_probs: Tensor, blank: int) -> list[tuple[int, ...]]:
    """Return the translation of each sentence's most probable alignment that has a token.

    Args:
        log_probs: [B,T,V]
    """
    paths = log_probs.argmax(2)
    if (is_empty := (paths == blank).all(1)).any():
        # The next best alignment has a token where that costs least.
        others, tokens = _without(log_probs, blank).max(2)
        cheapest = (others - log_probs[:, :, blank]).argmax(1, keepdim=True)
        changed = paths.scatter(1, cheapest, tokens.gather(1, cheapest))
        paths = torch.where(is_empty[:, None], changed, paths)
    before = functional.pad(paths[:, :-1], (1, 0), value=blank)
    is_kept = (paths != blank) & (paths != before)
    return [tuple(compress(row, kept)) for row, kept in zip(paths.tolist(), is_kept.tolist(), strict=True)]


class NgramScores:
    """The weighted log-probabilities that an n-gram model gives the tokens after each prefix."""

    def __init__(self, model: NgramModel, weight: float, num_sentences: int) -> None:
        self._model, self._weight = model, weight
        self._states = [[model.start] for _ in range(num_sentences)]

    def log_probs(self, device: torch.device) -> Tensor:
        """Return the weighted log-probabilities [B,k,V+1] of the token after each prefix; eos last."""
        rows = np.stack([[self._model.log_probs(state) for state in states] for states in self._states])
        return self._weight * torch.from_numpy(rows).to(device)

    def advance(self, parents: Tensor, tokens: Tensor) -> None:
        """Go on with prefixes that are given by the indices [B,k] of earlier ones, and their new tokens or _NONE."""
        self._states = [
            list(map(self._next, [states[parent] for parent in of_parents], of_tokens))
            for states, of_parents, of_tokens in zip(self._states, parents.tolist(), tokens.tolist(), strict=True)
        ]

    def _next(self, state: tuple[int, ...], token: int) -> tuple[int, ...]:
        return state if token == _NONE else self._model.next_state(state, token)


def prefix_beam_search(
    log_probs: Tensor, blank: int, beam_size: int, ngrams: NgramScores | None = None
) -> list[list[tuple[int, ...]]]:
    """Return at most `beam_size` translations of each sentence, the best that the search finds, best first.

    They are the most probable ones if the beam keeps every prefix. The empty translation is left out if there are
    others.

    Args:
        log_probs: [B,T,V]
        ngrams: At the start; its weighted log-probabilities count as well.
    """
    # The k best continuations of a prefix are among the 2·k best tokens: up to k - 1 others lead to prefixes that exist
    # already, and its own last token costs more than usual. An n-gram model may prefer any token.
    num_tokens = log_probs.size(2) - 1
    num_tokens = min(2 * beam_size, num_tokens) if ngrams is None else num_tokens
    values, tokens = _without(log_probs, blank).topk(num_tokens)
    prefixes = _Prefixes.empty(log_probs)
    parents, added = list[Tensor](), list[Tensor]()
    for position in range(log_probs.size(1)):
        best, ngram_scores = (tokens[:, position], values[:, position]), None
        if ngrams is not None:
            all_scores = ngrams.log_probs(log_probs.device)
            ngram_scores = all_scores.gather(2, best[0].unsqueeze(1).expand(-1, all_scores.size(1), -1))
        prefixes, parent, token = prefixes.advance(log_probs[:, position], blank, *best, beam_size, ngram_scores)
        if ngrams is not None:
            ngrams.advance(parent, token)
        parents.append(parent)
        added.append(token)
    scores = prefixes.total
    if ngrams is not None and prefixes.bonus is not None:
        scores = scores + prefixes.bonus + ngrams.log_probs(log_probs.device)[:, :, -1]
    order = scores.argsort(1, descending=True)
    columns, index = list[Tensor](), order
    for parent, token in zip(reversed(parents), reversed(added), strict=True):
        columns.append(token.gather(1, index))
        index = parent.gather(1, index)
    rows, is_possible = torch.stack(columns[::-1], 2).tolist(), (prefixes.total != -torch.inf).gather(1, order).tolist()
    found = [
        [tuple(token for token in row if token != _NONE) for row in compress(*sentence)]
        for sentence in zip(rows, is_possible, strict=True)
    ]
    return [list(filter(None, each)) or each for each in found]


@dataclass(frozen=True)
class _Prefixes:
    """Prefixes of the translations of each sentence, and the probability of their alignments up to a position."""

    last: Tensor
    """[B,k], last token; _NONE of the empty prefix, and where there are fewer than k."""
    hashes: Tensor
    """[B,k]"""
    after_blank: Tensor
    """[B,k], log-probability of the alignments that end in blank. Only after those, an equal token is a new one."""
    after_token: Tensor
    """[B,k], log-probability of the alignments that end in the last token."""
    bonus: Tensor | None
    """[B,k], weighted log-probability of an n-gram model; None: 0."""

    @classmethod
    def empty(cls, log_probs: Tensor) -> "_Prefixes":
        certain = log_probs.new_zeros(len(log_probs), 1)
        zeros = torch.zeros_like(certain, dtype=torch.long)
        return cls(zeros + _NONE, zeros, certain, torch.full_like(certain, -torch.inf), None)

    @property
    def total(self) -> Tensor:
        return torch.logaddexp(self.after_blank, self.after_token)

    def advance(
        self,
        log_probs: Tensor,
        blank: int,
        tokens: Tensor,
        values: Tensor,
        beam_size: int,
        ngram_scores: Tensor | None = None,
    ) -> "tuple[_Prefixes, Tensor, Tensor]":
        """Read a position. Return the best prefixes, the index of each among the old ones [B,k], and its new token.

        A prefix comes from itself, by a blank or its last token again, and from the prefix that is one token shorter.

        Args:
            log_probs: [B,V] of the position.
            tokens: [B,n], the best tokens, and `values`, their log-probabilities.
            ngram_scores: [B,k,n], the weighted log-probabilities of an n-gram model for them.
        """
        last, total, num_tokens = self.last, self.total, tokens.size(1)
        last_log_probs = log_probs.gather(1, last.clamp(min=0))
        is_repeated = tokens[:, None] == last[:, :, None]  # [B,k,n]
        added = torch.where(is_repeated, self.after_blank[:, :, None], total[:, :, None]) + values[:, None]
        # [B,k,k]: whether the second prefix is the first and its own last token.
        is_next = (_extended(self.hashes[:, :, None], last[:, None]) == self.hashes[:, None]) & (last[:, None] != _NONE)
        before = torch.where(last[:, :, None] == last[:, None], self.after_blank[:, :, None], total[:, :, None])
        joining = (before + last_log_probs[:, None]).masked_fill(~is_next, -torch.inf).amax(1)
        added = added.masked_fill(torch.matmul(is_next.float(), is_repeated.float()) > 0, -torch.inf)
        after_blank = total + log_probs[:, blank, None]
        after_token = torch.logaddexp(self.after_token + last_log_probs, joining)
        scores = torch.cat([torch.logaddexp(after_blank, after_token), added.flatten(1)], dim=1)
        bonuses = None
        if ngram_scores is not None:
            bonus = torch.zeros_like(total) if self.bonus is None else self.bonus
            bonuses = torch.cat([bonus, (bonus[:, :, None] + ngram_scores).flatten(1)], dim=1)
        ranked = scores if bonuses is None else scores + bonuses
        best = ranked.topk(min(beam_size, scores.size(1))).indices
        is_new, index = best >= last.size(1), (best - last.size(1)).clamp(min=0)
        parent, values = torch.where(is_new, index // num_tokens, best), scores.gather(1, best)
        token = torch.where(is_new, tokens.gather(1, index % num_tokens), _NONE)
        hashes = self.hashes.gather(1, parent)
        prefixes = _Prefixes(
            torch.where(is_new, token, last.gather(1, parent)).masked_fill(values == -torch.inf, _NONE),
            torch.where(is_new, _extended(hashes, token), hashes),
            after_blank.gather(1, parent).masked_fill(is_new, -torch.inf),
            torch.where(is_new, values, after_token.gather(1, parent)),
            None if bonuses is None else bonuses.gather(1, best),
        )
        return prefixes, parent, token


def _extended(hashes: Tensor, tokens: Tensor) -> Tensor:
    """Return the hashes of prefixes with one more token."""
    return hashes * _HASH_FACTOR + tokens + 1


def _without(log_probs: Tensor, blank: int) -> Tensor:
    return log_probs.index_fill(2, torch.tensor([blank], device=log_probs.device), -torch.inf)
