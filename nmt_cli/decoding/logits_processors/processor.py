"""The protocol of logits processors, and the list of processors that a search applies at each step.

A processor may keep a state for each hypothesis, such as how much of a phrase has been generated. Its state is
reordered with the beam, like the model's cache:

    state = processor.begin(batch_size)                       # one hypothesis per sentence, bos only
    for each step:
        scores, state = processor(scores, prefixes, state)    # before hypotheses are extended
        state = processor.select(state, rows)                 # after candidates are selected, with Cache.select

A processor therefore reads each token once: `prefixes` ends with the one token that `state` does not yet include.
Shapes: B sentences, k hypotheses of each, t tokens with bos, V target tokens; n tokens of an n-gram; N phrases of a
sentence, L tokens of the longest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from nmt_cli.decoding.logits_processors.phrases import ForcedPhrases
from nmt_cli.decoding.logits_processors.tracker import TrackerState


class LogitsProcessor(Protocol):
    """A constraint on the next token of each hypothesis."""

    is_soft: bool
    """Whether it changes finite scores. If not, it only sets scores to -inf."""

    def begin(self, batch_size: int) -> Any:
        """Return the state of `batch_size` sentences with one hypothesis each, which holds only bos."""
        ...

    def __call__(self, scores: Tensor, prefixes: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the processed scores and the state that includes the last token of each prefix.

        Args:
            scores: [B,k,V] log-probabilities of the next token, with changes by other processors. May be modified in
                place. Set the scores of forbidden tokens to -inf; a soft processor may add finite values, in nats.
            prefixes: [B,k,t] tokens so far, bos first. Prefixes of impossible hypotheses are arbitrary.
            state: The result of `begin` at the first step, and of `select` at all others.
        """
        ...

    def select(self, state: Any, rows: Tensor) -> Any:
        """Return the state of the given hypotheses, in the given order.

        Args:
            rows: [B',k'], sentence * k + beam index, as for `Cache.select`. A row has entries of one sentence only.
        """
        ...


Processor = TypeVar("Processor", bound=LogitsProcessor)

ProcessorStates = Mapping[LogitsProcessor, Any]
"""The state of each processor of a list."""


@dataclass(frozen=True)
class TokenScores:
    """Values [B,k,V] of each next token after each hypothesis."""

    log_probs: Tensor
    """Log-probabilities of the model. May be -inf for tokens that processors forbid."""
    scores: Tensor
    """Processed log-probabilities, which rank tokens. The same tensor as `log_probs` if no processor is soft."""


class StatelessProcessor:
    """The state methods of a processor that needs only the prefixes."""

    is_soft = False

    def begin(self, batch_size: int) -> None:
        """Return no state."""

    def select(self, state: None, rows: Tensor) -> None:
        """Return no state."""


class PrefixState(NamedTuple):
    """The state of the processors that apply to the beginning of a translation."""

    sentences: Tensor
    """[B,k] index of the sentence of each hypothesis."""
    log_probs: Tensor | None = None
    """[B,k,1] log-probability of the next token of the prefix, before other processors change it."""


class _PrefixProcessor:
    """The state methods of the processors that apply to the beginning of a translation."""

    is_soft = False

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def begin(self, batch_size: int) -> PrefixState:
        """Return the index of each sentence."""
        return PrefixState(torch.arange(batch_size, device=self._device).unsqueeze(1))

    def select(self, state: PrefixState, rows: Tensor) -> PrefixState:
        """Return the sentence index of each hypothesis."""
        return PrefixState(state.sentences.flatten()[rows])


class ForcedPrefix(_PrefixProcessor):
    """Forces translations to begin with given tokens, even if processors before it in a list forbid them."""

    def __init__(self, prefixes: Sequence[Sequence[int]], device: torch.device) -> None:
        super().__init__(device)
        self._max_prefix_length = max(map(len, prefixes))
        rows = [[*prefix, *[-1] * (self._max_prefix_length - len(prefix))] for prefix in prefixes]
        self._tokens = torch.tensor(rows, device=device)

    def store_log_probs(self, log_probs: Tensor, prefixes: Tensor, state: PrefixState) -> PrefixState:
        """Return the state with the log-probabilities of the forced tokens, given those of all tokens [B,k,V]."""
        if prefixes.size(2) > self._max_prefix_length:
            return state
        return state._replace(log_probs=log_probs.gather(2, self._next_tokens(prefixes, state).clamp(min=0)))

    def __call__(self, scores: Tensor, prefixes: Tensor, state: PrefixState) -> tuple[Tensor, PrefixState]:
        if prefixes.size(2) > self._max_prefix_length:
            return scores, state
        tokens = self._next_tokens(prefixes, state)
        is_forced, tokens = tokens >= 0, tokens.clamp(min=0)
        kept = scores.gather(2, tokens)
        kept = kept if state.log_probs is None else torch.where(is_forced, state.log_probs, kept)
        return scores.masked_fill_(is_forced, -torch.inf).scatter_(2, tokens, kept), state

    def _next_tokens(self, prefixes: Tensor, state: PrefixState) -> Tensor:
        """Return the forced tokens [B,k,1]; -1 where any token may follow."""
        return self._tokens[state.sentences, prefixes.size(2) - 1].unsqueeze(2)


class ProcessorList:
    """Applies processors in order."""

    def __init__(self, processors: Sequence[LogitsProcessor]) -> None:
        self.processors = tuple(processors)
        self.is_soft = any(processor.is_soft for processor in processors)
        self._prefix = self.find(ForcedPrefix)

    def find(self, kind: type[Processor]) -> Processor | None:
        """Return the first processor of a class, if there is one."""
        return next((each for each in self.processors if isinstance(each, kind)), None)

    def begin(self, batch_size: int) -> ProcessorStates:
        """Return the state of each processor for `batch_size` sentences."""
        return {processor: processor.begin(batch_size) for processor in self.processors}

    def __call__(
        self, logits: Tensor, prefixes: Tensor, states: ProcessorStates
    ) -> tuple[TokenScores, ProcessorStates]:
        """Process the model's logits [B,k,V] of the tokens after prefixes [B,k,t]."""
        log_probs = logits.float().log_softmax(-1)
        scores = log_probs.clone() if self.is_soft else log_probs
        states = dict(states)
        if self._prefix is not None:
            states[self._prefix] = self._prefix.store_log_probs(log_probs, prefixes, states[self._prefix])
        for processor in self.processors:
            scores, states[processor] = processor(scores, prefixes, states[processor])
        return TokenScores(log_probs, scores), states

    def select(self, states: ProcessorStates, rows: Tensor) -> ProcessorStates:
        """Return the state of each processor for the given hypotheses."""
        return {processor: processor.select(state, rows) for processor, state in states.items()}


class SuppressTokens(StatelessProcessor):
    """Always forbids some tokens, such as padding."""

    def __init__(self, tokens: Sequence[int], device: torch.device) -> None:
        self._tokens = torch.tensor(tokens, dtype=torch.long, device=device)

    def __call__(self, scores: Tensor, prefixes: Tensor, state: None) -> tuple[Tensor, None]:
        return scores.index_fill_(-1, self._tokens, -torch.inf), None


class MinLength(StatelessProcessor):
    """Forbids eos before a translation has `min_length` tokens."""

    def __init__(self, min_length: int, eos: int) -> None:
        self._min_length, self._eos = min_length, eos

    def __call__(self, scores: Tensor, prefixes: Tensor, state: None) -> tuple[Tensor, None]:
        if prefixes.size(2) <= self._min_length:
            scores[..., self._eos] = -torch.inf
        return scores, None


class NoRepeatNGram:
    """Forbids every n-gram that a translation already contains (Paulus et al. 2018), except for forced phrases."""

    is_soft = False

    def __init__(self, size: int, forced: ForcedPhrases | None = None) -> None:
        self._size, self._forced = size, forced

    def begin(self, batch_size: int) -> TrackerState | None:
        """Return the progress of the forced phrases."""
        return None if self._forced is None else self._forced.begin(batch_size)

    def select(self, state: TrackerState | None, rows: Tensor) -> TrackerState | None:
        """Return the progress of the given hypotheses."""
        return None if self._forced is None or state is None else self._forced.select(state, rows)

    def __call__(
        self, scores: Tensor, prefixes: Tensor, state: TrackerState | None
    ) -> tuple[Tensor, TrackerState | None]:
        tokens = prefixes[:, :, 1:]
        phrase_tokens = kept = None
        if self._forced is not None and state is not None:
            state = self._forced.advance(state, prefixes)
            phrase_tokens = self._forced.next_tokens(state)
            kept = scores.gather(2, phrase_tokens.clamp(min=0))
        if tokens.size(2) < self._size:
            return scores, state
        ngrams = tokens.unfold(2, self._size, 1)  # [B,k,t-n,n]
        recent = tokens[:, :, tokens.size(2) - self._size + 1 :].unsqueeze(2)
        is_repeated = (ngrams[..., :-1] == recent).all(-1)
        # The minimum of a score and its limit: -inf for a token that would repeat an n-gram.
        limits = torch.full_like(is_repeated, torch.inf, dtype=scores.dtype).masked_fill(is_repeated, -torch.inf)
        scores = scores.scatter_reduce_(2, ngrams[..., -1], limits, "amin")
        if phrase_tokens is not None and kept is not None:
            restored = kept.masked_fill(phrase_tokens < 0, -torch.inf)
            scores = scores.scatter_reduce_(2, phrase_tokens.clamp(min=0), restored, "amax")
        return scores, state


class PrefixCompletions(_PrefixProcessor):
    """Allows only some phrases after the prefix.

    A prefix can thus end within a word: the phrases are all ways to complete the word. No phrase may be the beginning
    of another.
    """

    def __init__(
        self,
        prefixes: Sequence[Sequence[int]],
        completions: Sequence[Sequence[Sequence[int]]],
        device: torch.device,
    ) -> None:
        super().__init__(device)
        max_phrases = max(map(len, completions))
        width = 1 + max(len(phrase) for phrases in completions for phrase in phrases)
        rows = []
        for phrases in completions:
            padded = [[*phrase, *[-1] * (width - len(phrase))] for phrase in phrases or ((),)]
            rows.append(padded + padded[:1] * (max_phrases - len(padded)))
        self._phrases = torch.tensor(rows, device=device)  # [B,N,L], each with -1 after its last token
        self._starts = torch.tensor(list(map(len, prefixes)), device=device)
        ends = [len(prefix) + width for prefix, phrases in zip(prefixes, completions, strict=True) if phrases]
        self._max_length = max(ends)

    def __call__(self, scores: Tensor, prefixes: Tensor, state: PrefixState) -> tuple[Tensor, PrefixState]:
        length = prefixes.size(2)
        if length >= self._max_length:
            return scores, state
        sentences = state.sentences[:, 0]
        phrases, starts = self._phrases[sentences].unsqueeze(1), self._starts[sentences].view(-1, 1, 1)
        positions = torch.arange(phrases.size(3), device=scores.device)
        recent = prefixes.gather(2, (starts + 1 + positions).clamp(max=length - 1).expand(-1, scores.size(1), -1))
        matched = length - 1 - starts  # [B,1,1] tokens after the prefix
        agrees = (phrases == recent.unsqueeze(2)) | (phrases < 0) | (positions >= matched.unsqueeze(3))
        is_begun = agrees.all(3)  # [B,k,N]
        index = matched.clamp(0, len(positions) - 1).unsqueeze(3).expand(-1, 1, phrases.size(2), 1)
        following = phrases.gather(3, index)[..., 0].expand_as(is_begun)
        is_unconstrained = (matched < 0) | (is_begun & (following < 0)).any(2, keepdim=True)
        allowed = torch.zeros_like(scores, dtype=torch.uint8)
        allowed.scatter_reduce_(2, following.clamp(min=0), (is_begun & (following >= 0)).to(torch.uint8), "amax")
        return scores.masked_fill_(~is_unconstrained & (allowed == 0), -torch.inf), state
