"""Progress of phrases through hypotheses: an automaton for one phrase, and a tracker that runs many of them at once.

A phrase means whole words: it is complete once a token follows that does not continue its last word, such as eos. An
automaton that counts the phrase (A, B) up to twice moves as follows; a state is (times completed, tokens matched now):

    tokens     A      A      B      C      A      B      eos
    state   (0,1)  (0,1)  (0,2)  (1,0)  (1,1)  (1,2)  (2,0)     if C starts a word
                          (0,2)  (0,0)  (0,1)  (0,2)  (1,0)     if C continues the word that ends with B

On a mismatch the automaton falls back to the longest part of the phrase that still matches (Knuth, Morris & Pratt
1977), so each token costs one look-up. `ConstraintTracker` holds the look-up tables of all automata as tensors. Its
state, the automaton states [B,k,P] of a batch, is reordered with the beam.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from nmt_cli.decoding.sentences import Phrase


class ContinuationTokens:
    """Target tokens that continue the word of the token before them."""

    def __init__(self, mask: Sequence[bool] = (), device: torch.device | None = None) -> None:
        """`mask` has one value per target token, or none if no token continues a word."""
        self.ids = frozenset(token for token, continues in enumerate(mask) if continues)
        self.mask = torch.tensor(mask, device=device) if self.ids else None
        """[V] or [V+E] on the device; None if there are no such tokens."""

    def extended(self, extra_ids: int) -> "ContinuationTokens":
        """Return the same tokens among V+E ids, where the E words copied from a source continue no word."""
        if self.mask is None or not extra_ids:
            return self
        found = ContinuationTokens()
        found.ids, found.mask = self.ids, pad(self.mask, (0, extra_ids))
        return found

    def restricted_to(self, tokens: Tensor) -> "ContinuationTokens":
        """Return those among `tokens` [n]; the index of a token there becomes its id."""
        return self if self.mask is None else ContinuationTokens(self.mask[tokens].tolist(), tokens.device)


@dataclass(frozen=True)
class PhraseAutomaton:
    """Counts the occurrences of a phrase of n tokens, up to `times`. Of overlapping occurrences only the first counts.

    A state is c*(n+1) + j: c complete occurrences, and the first j tokens matched just now. The state times*(n+1) is
    final.
    """

    phrase: Phrase
    times: int

    @property
    def states(self) -> range:
        """All states; the last is the final one."""
        return range(self.times * (len(self.phrase) + 1) + 1)

    def progress(self, state: int) -> tuple[int, int]:
        """Return the complete occurrences and the number of tokens matched just now."""
        return divmod(state, len(self.phrase) + 1)

    def is_complete(self, state: int) -> bool:
        """Whether all tokens of the phrase have just been matched."""
        return bool(self.phrase) and self.progress(state)[1] == len(self.phrase)

    def advance(self, state: int, token: int | None, continues: bool) -> int:
        """Return the state after a token; None stands for any token outside the phrase.

        Args:
            continues: Whether the token continues a word.
        """
        if state == self.states[-1]:
            return state
        count, matched = self.progress(state)
        if matched == len(self.phrase) and not continues:
            count, matched = count + 1, 0
        if count < self.times:
            matched = self._advance_match(matched, token)
        return count * (len(self.phrase) + 1) + matched

    def next_token(self, state: int) -> int | None:
        """Return the token that advances the phrase.

        None if the phrase is complete `times` times, or will be after any token that starts a word.
        """
        count, matched = self.progress(state)
        if matched == len(self.phrase):
            count, matched = count + 1, 0
        return self.phrase[matched] if count < self.times else None

    def accepts(self, tokens: Iterable[int], continuations: ContinuationTokens) -> bool:
        """Whether a translation, tokens without eos, contains the phrase `times` times or more."""
        state = 0
        for token in tokens:
            state = self.advance(state, token, token in continuations.ids)
        return self.advance(state, None, continues=False) == self.states[-1]

    def _advance_match(self, matched: int, token: int | None) -> int:
        while matched == len(self.phrase) or self.phrase[matched] != token:
            if matched == 0:
                return 0
            matched = self._borders[matched]
        return matched + 1

    @cached_property
    def _borders(self) -> list[int]:
        """For j > 0, the length of the longest proper prefix of the first j tokens that is also their suffix."""
        borders = [0, 0]
        for token in self.phrase[1:]:
            border = borders[-1]
            while border and self.phrase[border] != token:
                border = borders[border]
            borders.append(border + (self.phrase[border] == token))
        return borders


class TrackerState(NamedTuple):
    """The automata of each sentence, and the state of each of them after each hypothesis."""

    sentences: Tensor
    """[B] index of each sentence in the batch with which the search began."""
    automata: Tensor
    """[B,1,P] indices of automata."""
    states: Tensor
    """[B,k,P]"""


class ConstraintTracker:
    """Runs an automaton for each phrase of each sentence of a batch.

    Shapes: B sentences, k hypotheses of each, c tokens that may follow; P is the largest number of phrases of a
    sentence, F the number of automata, S the largest number of states, A the largest number of different tokens of a
    phrase. Automaton 0 has an empty phrase and only one state; it pads sentences with fewer phrases.
    """

    def __init__(
        self, phrases: Sequence[Mapping[Phrase, int]], continuations: ContinuationTokens, device: torch.device
    ) -> None:
        """`phrases` holds the phrases of each sentence, none of them empty, and how often each is counted."""
        self.continuation_mask = continuations.mask
        distinct = dict.fromkeys(itertools.chain.from_iterable(each.items() for each in phrases))
        indices = {phrase_and_times: index for index, phrase_and_times in enumerate(distinct, 1)}
        self.max_phrases = max(map(len, phrases))
        rows = [[indices[phrase_and_times] for phrase_and_times in each.items()] for each in phrases]
        self._automata = [PhraseAutomaton((), 0), *(PhraseAutomaton(*each) for each in distinct)]
        self._automata_of = torch.tensor([row + [0] * (self.max_phrases - len(row)) for row in rows], device=device)
        phrase_tokens = [sorted({*automaton.phrase}) for automaton in self._automata]
        self._num_phrase_tokens = max(map(len, phrase_tokens))
        self._phrase_tokens = _padded(phrase_tokens, self._num_phrase_tokens, -1).to(device)
        self._transitions = self._build_transitions(phrase_tokens, continuations.ids).to(device)

    def begin(self, batch_size: int) -> TrackerState:
        """Return the state before the first token."""
        sentences = torch.arange(batch_size, device=self._automata_of.device)
        automata = self._automata_of.unsqueeze(1)
        return TrackerState(sentences, automata, torch.zeros_like(automata))

    def select(self, state: TrackerState, rows: Tensor) -> TrackerState:
        """Return the state of the hypotheses with indices `rows` [B',k'], as in `LogitsProcessor.select`."""
        kept = rows[:, 0] // state.states.size(1)
        return TrackerState(state.sentences[kept], state.automata[kept], state.states.flatten(0, 1)[rows])

    def advance(self, state: TrackerState, prefixes: Tensor) -> TrackerState:
        """Return the state after the last token of prefixes [B,k,t]. It does not change if that is bos."""
        if prefixes.size(2) == 1:
            return state
        return state._replace(states=self.after(state, prefixes[:, :, -1:])[:, :, 0])

    def after(self, state: TrackerState, tokens: Tensor) -> Tensor:
        """Return the states [B,k,c,P] after tokens [B,k,c]."""
        is_equal = tokens[..., None, None] == self._phrase_tokens[state.automata].unsqueeze(2)  # [B,k,c,P,A]
        others = self._num_phrase_tokens + self.is_continuation(tokens).logical_not().long()
        token_index = torch.where(is_equal.any(-1), is_equal.int().argmax(-1), others.unsqueeze(-1))
        return self._transitions[state.automata.unsqueeze(2), state.states.unsqueeze(2), token_index]

    def after_other_tokens(self, state: TrackerState) -> Tensor:
        """Return the states [B,k,2,P] after a token of no phrase: one that continues a word, one that does not."""
        return self._transitions[state.automata, state.states, self._num_phrase_tokens :].movedim(-1, 2)

    def after_phrase_tokens(self, state: TrackerState) -> Tensor:
        """Return the states [B,k,P,A] of each automaton after each token of its phrase."""
        return self._transitions[state.automata, state.states, : self._num_phrase_tokens]

    def phrase_tokens(self, state: TrackerState) -> Tensor:
        """Return the different tokens [B,1,P,A] of the phrase of each automaton, padded with -1."""
        return self._phrase_tokens[state.automata]

    def is_continuation(self, tokens: Tensor) -> Tensor:
        """Whether each token continues a word."""
        mask = self.continuation_mask
        return torch.zeros_like(tokens, dtype=torch.bool) if mask is None else mask[tokens]

    def per_token(self, values: Tensor) -> Tensor:
        """Expand values [B,k,2], of tokens that continue a word and of others, to one per token [B,k,V or 1]."""
        mask = self.continuation_mask
        return values[..., 1:] if mask is None else values[..., 1:].where(~mask, values[..., :1])

    def table(self, value: Callable[[PhraseAutomaton, int], float]) -> Tensor:
        """Return a value [F,S] of each state of each automaton, to be indexed by [automata, states]."""
        rows = [[value(automaton, state) for state in automaton.states] for automaton in self._automata]
        return _padded(rows, max(map(len, rows)), 0).to(self._automata_of.device)

    def _build_transitions(self, phrase_tokens: Sequence[Sequence[int]], continuations: frozenset[int]) -> Tensor:
        """Return the next state [F,S,A+2]: after each token of the phrase, another that continues a word, any other."""
        num_states = max(len(automaton.states) for automaton in self._automata)
        table = torch.zeros(len(self._automata), num_states, self._num_phrase_tokens + 2, dtype=torch.long)
        for index, (automaton, tokens) in enumerate(zip(self._automata, phrase_tokens, strict=True)):
            for state in automaton.states:
                after_phrase = [automaton.advance(state, token, token in continuations) for token in tokens]
                after_others = [automaton.advance(state, None, continues) for continues in (True, False)]
                padding = [0] * (self._num_phrase_tokens - len(tokens))
                table[index, state] = torch.tensor([*after_phrase, *padding, *after_others])
        return table


def _padded(rows: Sequence[Sequence[float]], width: int, value: int) -> Tensor:
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])
