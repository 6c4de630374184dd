"""Phrases that a translation must hold."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from nmt_cli.decoding.rules.automata import Automaton
from nmt_cli.decoding.rules.rule import Said
from nmt_cli.decoding.rules.tracking import Tracker
from nmt_cli.decoding.sentences import Phrase, Wishes


class Required:
    """A translation does not end before it has said its phrases, and leaves room for them.

    What is `missing` is how many tokens it surely takes to say the rest: one phrase goes on from what is said of it,
    the others are said anew, one after the other. So there is always a token with which less is missing; when the
    length runs out, only such are allowed.
    """

    soft = False

    def __init__(
        self, wishes: Sequence[Wishes], longest: Tensor, end: int, continues: Tensor | None, device: torch.device
    ) -> None:
        """longest [B]: how many tokens, the end apart, translations may have."""
        wanted = [Counter(each.required) for each in wishes]
        self.total = torch.tensor([sum(map(len, each.required)) for each in wishes])
        """Tokens [B] that sentences require, on the CPU."""
        self._tracker, self._longest, self._end = Tracker(wanted, continues, device), longest, end
        self._relaxed = int((longest.cpu() - self.total)[self.total > 0].min())
        within = set() if continues is None else set(continues.nonzero()[:, 0].tolist())
        table = self._tracker.table
        self._unsaid = table(lambda each, state: (each.times - each.parts(state)[0]) * len(each.phrase))
        self._whole = table(lambda each, state: len(each.phrase) * each.is_whole(state))
        self._partial = table(lambda each, state: 0 if each.is_whole(state) else each.parts(state)[1])
        self._next = table(_next_token)
        self._next_continues = table(lambda each, state: each.next_token(state) in within).bool()

    def __call__(self, scores: Tensor, said: Said) -> None:
        which, states = self._tracker.which(said.sentences), self._tracker.states(said)
        others = self._missing(self._tracker.after_others(states, which), which.unsqueeze(2))  # [B,k,2]
        scores[..., self._end].masked_fill_(others[..., 1] > 0, -torch.inf)
        if said.length <= self._relaxed:
            return
        tokens = self._tracker.tokens(which).clamp(min=0).flatten(2).expand(-1, scores.size(1), -1)
        own = scores.gather(2, tokens).masked_fill(self._is_late(self.missing(tokens, said), said), -torch.inf)
        scores.masked_fill_(self._tracker.by_word(self._is_late(others, said)), -torch.inf).scatter_(2, tokens, own)

    def missing(self, tokens: Tensor, said: Said) -> Tensor:
        """How many tokens [B,k,c] it takes to say the rest if tokens [B,k,c] are said next."""
        which = self._tracker.which(said.sentences)
        return self._missing(self._tracker.after(self._tracker.states(said), tokens, which), which.unsqueeze(2))

    def next_tokens(self, said: Said) -> Tensor:
        """What brings each phrase forward, [B,k,P]; -1 where nothing is left to say."""
        return self._next[self._tracker.which(said.sentences), self._tracker.states(said)]

    def is_begun(self, said: Said) -> Tensor:
        """Whether some of each phrase, but not all, is said just now, [B,k,P]."""
        return self._partial[self._tracker.which(said.sentences), self._tracker.states(said)] > 0

    def _missing(self, states: Tensor, which: Tensor) -> Tensor:
        """Of states [...,P], in tokens; an end that comes next settles a phrase that is whole."""
        whole = self._whole[which, states].sum(-1, keepdim=True)
        # A phrase that is whole stays so, unless what is said next continues its last word.
        kept = whole.masked_fill(self._next_continues[which, states], 0)
        return self._unsaid[which, states].sum(-1) - (self._partial[which, states] + kept).amax(-1)

    def _is_late(self, missing: Tensor, said: Said) -> Tensor:
        """Whether what would be missing after the next word has no room any more."""
        longest = self._longest[said.sentences.to(self._longest.device)].view(-1, 1, 1)
        return (missing > 0) & (said.length + missing > longest)


def unmet(required: Sequence[Phrase], tokens: Sequence[int], continues: Tensor | None) -> tuple[Phrase, ...]:
    """Those of the required phrases that a translation does not say as often as they are named."""
    return tuple(
        phrase
        for phrase, times in Counter(required).items()
        if not Automaton(phrase, times).accepts(tokens, lambda token: continues is not None and bool(continues[token]))
    )


def _next_token(automaton: Automaton, state: int) -> int:
    token = automaton.next_token(state)
    return -1 if token is None else token
