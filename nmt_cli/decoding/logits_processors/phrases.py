"""Phrases that a translation must contain, must not contain, or should contain.

Each processor matches its phrases with a `ConstraintTracker`, whose state is reordered with the beam.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nmt_cli.decoding.logits_processors.tracker import (
    ConstraintTracker,
    ContinuationTokens,
    PhraseAutomaton,
    TrackerState,
)
from nmt_cli.decoding.sentences import Constraints, Phrase

_MAX_CONTINUATION_GAP = 3.0
"""Nats by which a token that continues a bad word may be less likely than the best token."""


class _PhraseProcessor:
    """The state methods of a processor with a tracker."""

    is_soft = False

    def __init__(
        self, phrases: Sequence[Mapping[Phrase, int]], continuations: ContinuationTokens, device: torch.device
    ) -> None:
        self._tracker = ConstraintTracker(phrases, continuations, device)

    def begin(self, batch_size: int) -> TrackerState:
        """Return the state before the first token."""
        return self._tracker.begin(batch_size)

    def select(self, state: TrackerState, rows: Tensor) -> TrackerState:
        """Return the state of the given hypotheses."""
        return self._tracker.select(state, rows)


class ForcedPhrases(_PhraseProcessor):
    """Forbids eos until all phrases are complete, and reserves enough length for them.

    `missing` is an upper bound of the tokens still needed: the rest of the partly matched phrase, then all others from
    their first token, one after another. Some token always lowers it; when only `missing` tokens are left, no other
    tokens are allowed.
    """

    def __init__(
        self,
        constraints: Sequence[Constraints],
        max_lengths: Tensor,
        eos: int,
        continuations: ContinuationTokens,
    ) -> None:
        """max_lengths [B]: maximum tokens of each translation, without eos."""
        device = max_lengths.device
        super().__init__([Counter(each.forced_phrases) for each in constraints], continuations, device)
        totals = [sum(map(len, each.forced_phrases)) for each in constraints]
        self.max_total = max(totals)
        self._totals, self._eos = torch.tensor(totals, device=device), eos
        self._max_lengths = max_lengths.view(-1, 1, 1)
        lengths = zip(max_lengths.tolist(), totals, strict=True)
        self._max_unchecked_length = min(max_length - total for max_length, total in lengths if total)
        """Up to this length all phrases fit after any token, so only eos has to be checked."""
        table = self._tracker.table
        self._tokens_outstanding = table(lambda each, state: (each.times - each.progress(state)[0]) * len(each.phrase))
        self._tokens_of_complete = table(lambda each, state: len(each.phrase) * each.is_complete(state))
        self._tokens_of_partial = table(lambda each, state: 0 if each.is_complete(state) else each.progress(state)[1])
        self._next = table(_next_token)
        self._next_continues = table(lambda each, state: each.next_token(state) in continuations.ids).bool()

    def __call__(self, scores: Tensor, prefixes: Tensor, state: TrackerState) -> tuple[Tensor, TrackerState]:
        state, length = self._tracker.advance(state, prefixes), prefixes.size(2)
        missing = self._missing(state, self._tracker.after_other_tokens(state))  # [B,k,2]
        scores[..., self._eos].masked_fill_(missing[..., 1] > 0, -torch.inf)
        if length <= self._max_unchecked_length:
            return scores, state
        length_left = self._max_lengths[state.sentences] - length
        tokens = self._tracker.phrase_tokens(state).clamp(min=0).flatten(2).expand(-1, scores.size(1), -1)
        does_not_fit = _does_not_fit(self.missing(state, tokens), length_left)
        phrase_scores = scores.gather(2, tokens).masked_fill(does_not_fit, -torch.inf)
        scores.masked_fill_(self._tracker.per_token(_does_not_fit(missing, length_left)), -torch.inf)
        return scores.scatter_(2, tokens, phrase_scores), state

    def advance(self, state: TrackerState, prefixes: Tensor) -> TrackerState:
        """Return the state that includes the last token of prefixes [B,k,t]."""
        return self._tracker.advance(state, prefixes)

    def missing(self, state: TrackerState, tokens: Tensor) -> Tensor:
        """Return an upper bound [B,k,c] of the tokens needed to complete all phrases after tokens [B,k,c]."""
        return self._missing(state, self._tracker.after(state, tokens))

    def totals(self, state: TrackerState) -> Tensor:
        """Return the number [B] of tokens in all phrases of each sentence."""
        return self._totals[state.sentences]

    def next_tokens(self, state: TrackerState) -> Tensor:
        """Return the token [B,k,P] that advances each phrase; -1 if the phrase needs no further token."""
        return self._next[state.automata, state.states]

    def is_begun(self, state: TrackerState) -> Tensor:
        """Return whether the last tokens match the beginning of each phrase, but not all of it, [B,k,P]."""
        return self._tokens_of_partial[state.automata, state.states] > 0

    def _missing(self, state: TrackerState, states: Tensor) -> Tensor:
        """Return the missing tokens [B,k,c] in states [B,k,c,P]. A phrase is complete once all its tokens match."""
        automata = state.automata.unsqueeze(2)
        complete = self._tokens_of_complete[automata, states].sum(-1, keepdim=True)
        # A phrase with all tokens matched stays complete, unless the next token continues its last word.
        kept = complete.masked_fill(self._next_continues[automata, states], 0)
        matched = (self._tokens_of_partial[automata, states] + kept).amax(-1)
        return self._tokens_outstanding[automata, states].sum(-1) - matched


class BadWords(_PhraseProcessor):
    """Forbids phrases as whole words.

    With `can_continue`, all tokens of a phrase may be generated if the next token continues its last word: `Haus` is
    forbidden, `Hauses` is not. That token must be nearly as likely as the best one; otherwise `Haus ist` would become
    `Hausist`. The search must keep hypotheses without the phrase as well (see `ConstrainedSelector`). Without
    `can_continue`, the last token of a phrase is always forbidden.
    """

    def __init__(
        self,
        constraints: Sequence[Constraints],
        continuations: ContinuationTokens,
        may_complete: bool,
        device: torch.device,
    ) -> None:
        """`may_complete`: whether a hypothesis may complete a bad word if its next token continues that word."""
        # A prefix may contain a phrase up to len(prefix) // len(phrase) times; only the next time is forbidden.
        phrases = [{phrase: 1 + len(each.prefix) // len(phrase) for phrase in each.bad_words} for each in constraints]
        super().__init__(phrases, continuations, device)
        self.can_continue = may_complete and bool(continuations.ids)
        self.max_phrases = self._tracker.max_phrases
        """Largest number of phrases of a sentence."""
        self._complete = self._tracker.table(lambda automaton, state: automaton.is_complete(state)).bool()
        self._last = self._tracker.table(_last_token)

    def __call__(self, scores: Tensor, prefixes: Tensor, state: TrackerState) -> tuple[Tensor, TrackerState]:
        state = self._tracker.advance(state, prefixes)
        if self.can_continue:
            assert self._tracker.continuation_mask is not None
            is_complete = self._complete[state.automata, state.states].any(-1, keepdim=True)
            is_unlikely = scores < scores.amax(-1, keepdim=True) - _MAX_CONTINUATION_GAP
            ends_word = is_unlikely | ~self._tracker.continuation_mask
            return scores.masked_fill_(is_complete & ends_word, -torch.inf), state
        last = self._last[state.automata, state.states]
        limits = torch.full_like(last, -torch.inf, dtype=scores.dtype).masked_fill(last < 0, torch.inf)
        return scores.scatter_reduce_(2, last.clamp(min=0), limits, "amin"), state

    def completes(self, state: TrackerState, tokens: Tensor) -> Tensor:
        """Return whether tokens [B,k,c] complete a phrase, so that the next token must continue its last word."""
        return self._complete[state.automata.unsqueeze(2), self._tracker.after(state, tokens)].any(-1)


class PhraseBoost(_PhraseProcessor):
    """Adds a bonus to the scores of phrases, in equal parts per token. A mismatch subtracts the parts added so far.

    The score of a translation thus contains the whole bonus once for each occurrence of the phrase as whole words, up
    to the number of times that the phrase is listed. If it is listed with several bonuses, each occurrence gets their
    mean.
    """

    is_soft = True

    def __init__(
        self, constraints: Sequence[Constraints], continuations: ContinuationTokens, device: torch.device
    ) -> None:
        phrases = [Counter(bonus.phrase for bonus in each.bonuses) for each in constraints]
        super().__init__(phrases, continuations, device)
        self._progress = self._tracker.table(_progress)
        bonuses = [
            [sum(one.bonus for one in each.bonuses if one.phrase == phrase) / times for phrase, times in counts.items()]
            for each, counts in zip(constraints, phrases, strict=True)
        ]
        padded = [row + [0.0] * (self._tracker.max_phrases - len(row)) for row in bonuses]
        self._bonus = torch.tensor(padded, device=device)

    def __call__(self, scores: Tensor, prefixes: Tensor, state: TrackerState) -> tuple[Tensor, TrackerState]:
        state = self._tracker.advance(state, prefixes)
        automata, bonus = state.automata, self._bonus[state.sentences].unsqueeze(1)  # [B,1,P]
        progress = self._progress[automata, state.states]
        after_others = self._progress[automata.unsqueeze(2), self._tracker.after_other_tokens(state)]
        gains = after_others - progress.unsqueeze(2)  # [B,k,2,P]
        scores += self._tracker.per_token((gains * bonus.unsqueeze(2)).sum(3))
        tokens = self._tracker.phrase_tokens(state)  # [B,1,P,A]
        after_phrase = self._progress[automata.unsqueeze(3), self._tracker.after_phrase_tokens(state)]
        continues = self._tracker.is_continuation(tokens.clamp(min=0))
        after_other = torch.where(continues, after_others[:, :, 0].unsqueeze(3), after_others[:, :, 1].unsqueeze(3))
        correction = ((after_phrase - after_other) * bonus.unsqueeze(3)).masked_fill(tokens < 0, 0)
        tokens = tokens.clamp(min=0).expand_as(correction)
        return scores.scatter_add_(2, tokens.flatten(2), correction.flatten(2)), state


def unsatisfied_phrases(
    phrases: Sequence[Phrase], tokens: Sequence[int], continuations: ContinuationTokens
) -> tuple[Phrase, ...]:
    """Return the phrases that a translation does not contain as often as they are listed."""
    return tuple(
        phrase
        for phrase, times in Counter(phrases).items()
        if not PhraseAutomaton(phrase, times).accepts(tokens, continuations)
    )


def _does_not_fit(missing: Tensor, length_left: Tensor) -> Tensor:
    """Return whether the tokens missing after the next one exceed the length that is left then."""
    return (missing > 0) & (missing > length_left)


def _next_token(automaton: PhraseAutomaton, state: int) -> int:
    token = automaton.next_token(state)
    return -1 if token is None else token


def _last_token(automaton: PhraseAutomaton, state: int) -> int:
    """Return the last token of the phrase if all tokens before it have just been matched, else -1."""
    return automaton.phrase[-1] if automaton.progress(state)[1] == len(automaton.phrase) - 1 else -1


def _progress(automaton: PhraseAutomaton, state: int) -> float:
    """Return how often the phrase is complete, plus the fraction of it that is matched just now."""
    count, matched = automaton.progress(state)
    return count + matched / max(1, len(automaton.phrase))
