"""Beam search with forced phrases and bad words: dynamic beam allocation (Post & Vilar 2018).

Hypotheses that have generated equally much of their phrases form a bank. With the phrases (A, B) and (C), a beam of 4
might hold after three tokens

    missing 0     C A B
    missing 1     A B x      D A B
    missing 2     C x A
    missing 3     x y z      C' y z    …

where x, y, z, D stand for other tokens. The places of the beam go to the banks in turn, one at a time, the bank with
the least missing tokens first (by sorting, as in Hu et al. 2019). So hypotheses that have paid for a phrase do not
compete with those that have not yet, and there is always a path to the end. A beam has at least one place per bank.
"""

import math

import torch
from torch import Tensor

from nmt_cli.decoding.logits_processors.phrases import BadWords, ForcedPhrases
from nmt_cli.decoding.logits_processors.processor import ProcessorStates, TokenScores
from nmt_cli.decoding.logits_processors.tracker import TrackerState
from nmt_cli.decoding.search.candidates import ActiveBeams, Candidates, Selection, top_tokens

_MAX_GAP = 6.0
"""Nats by which the first token of a phrase may be less likely than the best token (benchmarks/results/glossary.md)."""


class ConstrainedSelector:
    """Selects from the best tokens after each hypothesis and the tokens that advance each of its phrases.

    A phrase does not begin just anywhere, or hypotheses with the phrase in a wrong place would fill their bank before
    others get there: its first token must be nearly as likely as the best token. This does not apply where the tokens
    that are allowed have less than half of the probability, as at the end of a translation that only lacks the phrase.

    Only hypotheses without missing tokens can end; `ForcedPhrases` ensures that. Of the active hypotheses, at most half
    may have completed a bad word, and so depend on a token that continues it. Sentences without such constraints are
    searched as by `TopKSelector`.
    """

    def __init__(self, beam_size: int, eos: int, forced: ForcedPhrases | None, bad_words: BadWords | None) -> None:
        self._beam_size, self._eos, self._forced, self._bad_words = beam_size, eos, forced, bad_words
        self._max_width = beam_size if forced is None else max(beam_size, forced.max_total + 1)

    def __call__(self, scores: TokenScores, beams: ActiveBeams, rows: Tensor, states: ProcessorStates) -> Selection:
        forced_state: TrackerState | None = None if self._forced is None else states[self._forced]
        tokens, is_duplicate = self._candidate_tokens(scores, forced_state)
        candidates = Candidates.from_tokens(tokens, scores, beams).mask(is_duplicate)
        order = candidates.path_scores.sort(dim=1, descending=True, stable=True).indices
        candidates = candidates.gather(order)
        if self._bad_words is not None:
            completes = self._bad_words.completes(states[self._bad_words], tokens).flatten(1).gather(1, order)
            candidates = candidates.mask(completes & (completes.cumsum(1) > self._beam_size // 2))
        if self._forced is None or forced_state is None:
            best = candidates.best_first()
            return Selection(
                best.first(self._beam_size).only_eos(self._eos), best.without_eos(self._eos, self._beam_size)
            )
        missing = self._forced.missing(forced_state, tokens).flatten(1).gather(1, order)
        complete = candidates.mask(missing > 0).best_first().first(self._beam_size)
        active = candidates.mask(candidates.token_ids == self._eos)
        active = active.gather(self._allocate_banks(active.path_scores, missing)[:, : self._max_width])
        totals = self._forced.totals(forced_state)
        widths = torch.where(totals > 0, totals + 1, 0).clamp(min=self._beam_size).unsqueeze(1)
        is_beyond = torch.arange(active.path_scores.size(1), device=missing.device) >= widths
        return Selection(complete.only_eos(self._eos), active.mask(is_beyond))

    def _candidate_tokens(self, scores: TokenScores, state: TrackerState | None) -> tuple[Tensor, Tensor]:
        """Return tokens [B,k,c] after each hypothesis, sorted by id, and whether each [B,k*c] is a duplicate."""
        num_extra = 0 if self._bad_words is None else self._bad_words.max_phrases
        best = top_tokens(scores.scores, self._beam_size + num_extra)
        if self._forced is None or state is None:
            return best, torch.zeros_like(best, dtype=torch.bool).flatten(1)
        following = self._forced.next_tokens(state)
        threshold = scores.scores.amax(-1, keepdim=True) - _MAX_GAP
        is_likely = scores.scores.gather(-1, following.clamp(min=0)) >= threshold
        allowed = scores.log_probs.masked_fill(scores.scores == -torch.inf, -torch.inf).logsumexp(-1, keepdim=True)
        can_follow = is_likely | self._forced.is_begun(state) | (allowed < math.log(0.5))
        following = torch.where(can_follow & (following >= 0), following, best[..., :1])
        tokens = torch.cat([best, following], dim=2).sort(2).values
        is_duplicate = torch.zeros_like(tokens, dtype=torch.bool)
        is_duplicate[..., 1:] = tokens[..., 1:] == tokens[..., :-1]
        return tokens, is_duplicate.flatten(1)

    def _allocate_banks(self, path_scores: Tensor, missing: Tensor) -> Tensor:
        """Return the order [B,n] of candidates, given best first, in which each bank in turn gives its best."""
        missing = missing.masked_fill(path_scores == -torch.inf, self._max_width)  # impossible ones are the last bank
        banks, order = missing.sort(dim=1, stable=True)
        turn = torch.arange(banks.size(1), device=banks.device) - torch.searchsorted(banks, banks)
        turn = turn.masked_fill(banks == self._max_width, banks.size(1))
        return order.gather(1, turn.sort(dim=1, stable=True).indices)  # within a turn the banks stay in order
