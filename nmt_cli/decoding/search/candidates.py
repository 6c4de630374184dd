"""The hypotheses in a beam, their candidates for the next token, and the selection among these."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from nmt_cli.decoding.logits_processors.processor import ProcessorStates, TokenScores

_MIN_GROUPED, _GROUP_SIZE = 2**16, 64
"""From this many scores on, top-k runs in two stages, first over the maxima of groups of this many tokens."""


@dataclass(frozen=True)
class ActiveBeams:
    """Unfinished hypotheses. Impossible ones have the path score -inf."""

    tokens: Tensor
    """[B,k,t], bos first."""
    log_probs: Tensor
    """[B,k]"""
    path_scores: Tensor
    """[B,k] log-probabilities with the bonuses of soft processors; they rank hypotheses of one length.

    The same tensor as `log_probs` while there is no bonus, here and in candidates, so that it is computed once.
    """

    @classmethod
    def initial(cls, first_tokens: Tensor) -> Self:
        """Return one hypothesis per sentence, which holds only its first token [B], usually bos."""
        zeros = torch.zeros(len(first_tokens), 1, device=first_tokens.device)
        return cls(first_tokens.view(-1, 1, 1), zeros, zeros)

    def extend(self, candidates: "Candidates") -> Self:
        """Return the hypotheses of the candidates [B,n]."""
        tokens = gather_rows(self.tokens, candidates.beam_indices)
        tokens = torch.cat([tokens, candidates.token_ids.unsqueeze(-1)], dim=2)
        return type(self)(tokens, candidates.log_probs, candidates.path_scores)

    def select(self, sentences: Tensor) -> Self:
        """Return the hypotheses of some sentences [B']."""
        log_probs = self.log_probs[sentences]
        path_scores = log_probs if self.path_scores is self.log_probs else self.path_scores[sentences]
        return type(self)(self.tokens[sentences], log_probs, path_scores)


@dataclass(frozen=True)
class Candidates:
    """Possible extensions of hypotheses by one token. All fields are [B,n]."""

    token_ids: Tensor
    beam_indices: Tensor
    """The hypotheses that they extend."""
    log_probs: Tensor
    """Of the whole hypotheses, with the token."""
    path_scores: Tensor

    @classmethod
    def from_tokens(cls, token_ids: Tensor, scores: TokenScores, beams: ActiveBeams) -> Self:
        """Return the n = k*c candidates for tokens [B,k,c], c after each hypothesis."""
        beam_size, count = token_ids.shape[1:]
        beam_indices = torch.arange(beam_size * count, device=token_ids.device) // count
        token_log_probs = scores.log_probs.gather(-1, token_ids)
        log_probs = path_scores = (beams.log_probs.unsqueeze(-1) + token_log_probs).flatten(1)
        if scores.scores is not scores.log_probs or beams.path_scores is not beams.log_probs:
            is_same = scores.scores is scores.log_probs
            token_scores = token_log_probs if is_same else scores.scores.gather(-1, token_ids)
            path_scores = (beams.path_scores.unsqueeze(-1) + token_scores).flatten(1)
        return cls(token_ids.flatten(1), beam_indices.expand(len(token_ids), -1), log_probs, path_scores)

    @classmethod
    def concat(cls, parts: "Sequence[Candidates]", order: Tensor) -> Self:
        """Return the candidates of several batches as one, with the sentences in the given order [B]."""
        fields = ((part.token_ids, part.beam_indices, part.log_probs, part.path_scores) for part in parts)
        return cls(*(torch.cat(field)[order] for field in zip(*fields, strict=True)))

    def best_first(self) -> Self:
        """Sort by path score. Candidates of equal score keep their order."""
        if self.path_scores.size(1) == 1:
            return self
        return self.gather(self.path_scores.sort(dim=1, descending=True, stable=True).indices)

    def gather(self, indices: Tensor) -> Self:
        """Return the candidates at indices [B,m]."""
        return self._map(lambda values: values.gather(1, indices))

    def first(self, count: int) -> Self:
        """Return the first candidates of each sentence."""
        return self._map(lambda values: values[:, :count])

    def only_eos(self, eos: int) -> Self:
        """Mask all candidates that do not end with eos."""
        return self.mask(self.token_ids != eos)

    def without_eos(self, eos: int, count: int) -> Self:
        """Return the first candidates that do not end with eos; if there are too few, the rest is masked."""
        is_eos = self.token_ids == eos
        order = is_eos.long().sort(dim=1, stable=True).indices[:, :count]
        return self.mask(is_eos).gather(order)

    def mask(self, is_impossible: Tensor) -> Self:
        """Set the scores of impossible candidates [B,n] to -inf."""
        return self._replace_scores(
            self.token_ids, self.beam_indices, lambda values: values.masked_fill(is_impossible, -torch.inf)
        )

    def _map(self, function: Callable[[Tensor], Tensor]) -> Self:
        return self._replace_scores(function(self.token_ids), function(self.beam_indices), function)

    def _replace_scores(self, token_ids: Tensor, beam_indices: Tensor, function: Callable[[Tensor], Tensor]) -> Self:
        log_probs = function(self.log_probs)
        path_scores = log_probs if self.path_scores is self.log_probs else function(self.path_scores)
        return type(self)(token_ids, beam_indices, log_probs, path_scores)


@dataclass(frozen=True)
class Selection:
    """The candidates of one step that a beam keeps."""

    finished: Candidates | None
    """Those that end with eos; others are masked. None if it is known that there are none."""
    active: Candidates
    """[B,k] those that are extended further."""


class CandidateSelector(Protocol):
    """Selects the candidates that a beam keeps."""

    def __call__(self, scores: TokenScores, beams: ActiveBeams, rows: Tensor, states: ProcessorStates) -> Selection:
        """Select among the extensions of `beams`.

        Args:
            rows: [B] on the CPU, the index of each sentence when the search began, ascending. With beam groups, each
                group is a sentence of its own.
            states: Of the processors that have made `scores`.
        """
        ...


class TopKSelector:
    """The ordinary beam of k hypotheses.

    Of the k best candidates, those that end with eos are finished. The k best of those that do not end stay active. In
    a beam of one only the best candidate counts.

    Of equal candidates, the one of the better hypothesis comes first, then the one of the lower token id. If more than
    k + 1 tokens after a hypothesis are equally good, torch decides which of them become candidates.
    """

    def __init__(self, beam_size: int, eos: int) -> None:
        self._beam_size, self._eos = beam_size, eos

    def __call__(self, scores: TokenScores, beams: ActiveBeams, rows: Tensor, states: ProcessorStates) -> Selection:
        best = Candidates.from_tokens(top_tokens(scores.scores, self._beam_size), scores, beams).best_first()
        # On other devices, to check for eos would be a host synchronization.
        if best.token_ids.device.type == "cpu" and not (best.token_ids == self._eos).any():
            return Selection(None, best.first(self._beam_size))
        return Selection(best.first(self._beam_size).only_eos(self._eos), best.without_eos(self._eos, self._beam_size))


def top_tokens(scores: Tensor, beam_size: int) -> Tensor:
    """Return the best tokens [B,k,c] after each hypothesis: enough for `beam_size` besides eos.

    They are sorted by id, so that a stable sort puts the lower of equals first. A beam of one needs only one token: if
    it is eos, the search ends.
    """
    count = min(beam_size + 1, scores.size(-1)) if beam_size > 1 else 1
    tokens = _top_k(scores, count)
    return tokens if count == 1 else tokens.sort(-1).values


def _top_k(scores: Tensor, count: int) -> Tensor:
    """Return the best tokens [B,k,count] by scores [B,k,V], in any order; if count is 1, the first of equals."""
    num_groups = scores.size(-1) // _GROUP_SIZE
    if scores.numel() < _MIN_GROUPED or num_groups <= count or scores.device.type != "cpu":
        return scores.argmax(-1, keepdim=True) if count == 1 else scores.topk(count, sorted=False).indices
    # The best tokens are in the groups with the best maxima, or in the remainder, which fills no group.
    grouped = scores[..., : num_groups * _GROUP_SIZE].view(*scores.shape[:-1], num_groups, _GROUP_SIZE)
    groups = _top_k(grouped.amax(-1), count)
    found = grouped.gather(-2, groups.unsqueeze(-1).expand(*groups.shape, _GROUP_SIZE)).flatten(-2)
    found = torch.cat([found, scores[..., num_groups * _GROUP_SIZE :]], dim=-1)
    groups = pad(groups, (0, 1), value=num_groups)
    indices = found.argmax(-1, keepdim=True) if count == 1 else found.topk(count, sorted=False).indices
    return groups.gather(-1, indices // _GROUP_SIZE) * _GROUP_SIZE + indices % _GROUP_SIZE


def gather_rows(tokens: Tensor, indices: Tensor) -> Tensor:
    """Return the rows [B,n',t] of tokens [B,n,t] at indices [B,n']."""
    return tokens.gather(1, indices.unsqueeze(-1).expand(-1, -1, tokens.size(2)))
