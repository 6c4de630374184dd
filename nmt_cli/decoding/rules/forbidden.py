"""Phrases that a translation must not hold."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nmt_cli.decoding.rules.automata import Automaton
from nmt_cli.decoding.rules.rule import Said
from nmt_cli.decoding.rules.tracking import Tracker
from nmt_cli.decoding.sentences import Wishes


class Forbidden:
    """Phrases are not said, as whole words.

    With `patient`, all of a phrase's tokens may be said if then its last word goes on: `Haus` is forbidden, `Hauses` is
    not. That needs rivals which have not said it (see `Steered`); without them its last token is forbidden at once.
    """

    soft = False

    def __init__(self, wishes: Sequence[Wishes], continues: Tensor | None, patient: bool, device: torch.device) -> None:
        # What a prefix makes a translation say is still forbidden after that.
        wanted = [{phrase: 1 + len(each.prefix) // len(phrase) for phrase in each.forbidden} for each in wishes]
        self._tracker = Tracker(wanted, continues, device)
        self.patient = patient and continues is not None and bool(continues.any())
        self.most = max(map(len, wanted))
        """Phrases that a sentence has at most."""
        self._whole = self._tracker.table(lambda automaton, state: automaton.is_whole(state)).bool()
        self._last = self._tracker.table(_last_token)

    def __call__(self, scores: Tensor, said: Said) -> None:
        which, states = self._tracker.which(said.sentences), self._tracker.states(said)
        if self.patient:
            assert self._tracker.continues is not None
            is_whole = self._whole[which, states].any(-1, keepdim=True)
            scores.masked_fill_(is_whole & ~self._tracker.continues, -torch.inf)
        else:
            last = self._last[which, states]
            forbidden = torch.full_like(last, -torch.inf, dtype=scores.dtype).masked_fill(last < 0, torch.inf)
            scores.scatter_reduce_(2, last.clamp(min=0), forbidden, "amin")

    def is_risky(self, tokens: Tensor, said: Said) -> Tensor:
        """Whether hypotheses, if tokens [B,k,c] are said next, end with a phrase, whose last word must then go on."""
        which = self._tracker.which(said.sentences)
        after = self._tracker.after(self._tracker.states(said), tokens, which)
        return self._whole[which.unsqueeze(2), after].any(-1)


def _last_token(automaton: Automaton, state: int) -> int:
    """The phrase's last token if all before it are said just now, else -1."""
    return automaton.phrase[-1] if automaton.parts(state)[1] == len(automaton.phrase) - 1 else -1
