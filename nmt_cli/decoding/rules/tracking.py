"""How far each hypothesis of a batch has said the phrases that are wished for its sentence."""

import itertools
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from nmt_cli.decoding.rules.automata import Automaton
from nmt_cli.decoding.rules.rule import Said
from nmt_cli.decoding.sentences import Phrase


class Tracker:
    """Runs an automaton for each phrase of each sentence, all at once.

    Shapes: P is the most phrases that a sentence has, F the number of automata, A the most tokens that one knows. The
    first automaton has nothing to say, and fills up sentences with fewer phrases.
    """

    def __init__(self, wanted: Sequence[Mapping[Phrase, int]], continues: Tensor | None, device: torch.device) -> None:
        """`wanted` names the phrases of each sentence, none of them empty, and how often each is meant to be said.

        continues [V] are the tokens that continue a word; None means none does.
        """
        self.continues = continues
        known = dict.fromkeys(itertools.chain.from_iterable(phrases.items() for phrases in wanted))
        numbers = {each: number for number, each in enumerate(known, 1)}
        most = max(map(len, wanted))
        rows = [[numbers[each] for each in phrases.items()] for phrases in wanted]
        self._automata = [Automaton((), 0), *(Automaton(*each) for each in known)]
        self._which = torch.tensor([row + [0] * (most - len(row)) for row in rows], device=device)
        within = set() if continues is None else set(continues.nonzero()[:, 0].tolist())
        alphabets = [sorted({*automaton.phrase}) for automaton in self._automata]
        self._letters = max(map(len, alphabets))
        self._alphabet = _filled(alphabets, self._letters, -1).to(device)
        self._next = self._transitions(alphabets, within).to(device)
        self._last: tuple[Said, Tensor] | None = None

    def table(self, value: Callable[[Automaton, int], float]) -> Tensor:
        """A value [F,S] of each state of each automaton, to be looked up at [which, states]."""
        rows = [[value(automaton, state) for state in automaton.states] for automaton in self._automata]
        return _filled(rows, max(map(len, rows)), 0).to(self._which.device)

    def which(self, sentences: Tensor) -> Tensor:
        """The automata [B,1,P] of sentences [B], which are on the CPU."""
        return self._which[sentences.to(self._which.device)].unsqueeze(1)

    def tokens(self, which: Tensor) -> Tensor:
        """The tokens [B,1,P,A] of automata [B,1,P], filled up with -1."""
        return self._alphabet[which]

    def continuing(self, tokens: Tensor) -> Tensor:
        """Which tokens continue a word."""
        return torch.zeros_like(tokens, dtype=torch.bool) if self.continues is None else self.continues[tokens]

    def by_word(self, values: Tensor) -> Tensor:
        """Of values [B,k,2], one for words that continue a word and one for others: that of each word [B,k,V or 1]."""
        return values[..., 1:] if self.continues is None else values[..., 1:].where(~self.continues, values[..., :1])

    def states(self, said: Said) -> Tensor:
        """Of each automaton [B,k,P]. Each hypothesis must go on from one that was asked for in the last call.

        So hypotheses are asked for step by step; for the same ones as in the last call the answer is at hand.
        """
        if self._last is not None and self._last[0].tokens is said.tokens:
            return self._last[1]
        which = self.which(said.sentences)
        if self._last is None or said.length == 1:
            states = which.new_zeros(*said.tokens.shape[:2], which.size(2))
        else:
            states = self.after(self._parents(said, *self._last), said.tokens[:, :, -1:], which)[:, :, 0]
        self._last = said, states
        return states

    def after(self, states: Tensor, tokens: Tensor, which: Tensor) -> Tensor:
        """States [B,k,c,P] after tokens [B,k,c]."""
        same = tokens[..., None, None] == self._alphabet[which].unsqueeze(2)
        others = self._letters + self.continuing(tokens).logical_not().long()
        letters = torch.where(same.any(-1), same.int().argmax(-1), others.unsqueeze(-1))
        return self._next[which.unsqueeze(2), states.unsqueeze(2), letters]

    def after_others(self, states: Tensor, which: Tensor) -> Tensor:
        """States [B,k,2,P] after a token that no phrase has: one that continues a word, or one that does not."""
        return self._next[which, states, self._letters :].movedim(-1, 2)

    def after_own(self, states: Tensor, which: Tensor) -> Tensor:
        """States [B,k,P,A] of each automaton after each token of its own."""
        return self._next[which, states, : self._letters]

    def _parents(self, said: Said, before: Said, states: Tensor) -> Tensor:
        """The states [B,k,P] of the hypotheses that those said now go on from, found by their words."""
        known, wanted = (each.sentences if each.rows is None else each.rows for each in (before, said))
        rows = torch.searchsorted(known, wanted).to(states.device)
        same = (said.tokens[:, :, None, :-1] == before.tokens[rows].unsqueeze(1)).all(-1)
        parents = same.int().argmax(-1, keepdim=True).expand(-1, -1, states.size(2))
        return states[rows].gather(1, parents)

    def _transitions(self, alphabets: Sequence[Sequence[int]], within: set[int]) -> Tensor:
        """The next state [F,S,A+2] after each token of an automaton's own, another that continues, any other."""
        most = max(len(automaton.states) for automaton in self._automata)
        table = torch.zeros(len(self._automata), most, self._letters + 2, dtype=torch.long)
        for number, (automaton, alphabet) in enumerate(zip(self._automata, alphabets, strict=True)):
            for state in automaton.states:
                own = [automaton.after(state, token, token in within) for token in alphabet]
                others = [automaton.after(state, None, continues) for continues in (True, False)]
                table[number, state] = torch.tensor(own + [0] * (self._letters - len(own)) + others)
        return table


def _filled(rows: Sequence[Sequence[float]], width: int, filling: int) -> Tensor:
    return torch.tensor([[*row, *[filling] * (width - len(row))] for row in rows])
