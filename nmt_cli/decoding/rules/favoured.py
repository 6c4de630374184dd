"""Phrases that are preferred."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from nmt_cli.decoding.rules.automata import Automaton
from nmt_cli.decoding.rules.rule import Said
from nmt_cli.decoding.rules.tracking import Tracker
from nmt_cli.decoding.sentences import Wishes


class Favoured:
    """A phrase's bonus is granted as it is being said, a part with each token, and taken back if it is broken off.

    So the rank of a translation gains the whole bonus for each time that a phrase is said as whole words, up to the
    times it is named. If it is named with several bonuses, each time counts their mean.
    """

    soft = True

    def __init__(self, wishes: Sequence[Wishes], continues: Tensor | None, device: torch.device) -> None:
        wanted = [Counter(favoured.phrase for favoured in each.favoured) for each in wishes]
        self._tracker = Tracker(wanted, continues, device)
        self._progress = self._tracker.table(_progress)
        most = max(map(len, wanted))
        bonuses = [
            [sum(one.bonus for one in each.favoured if one.phrase == phrase) / times for phrase, times in named.items()]
            for each, named in zip(wishes, wanted, strict=True)
        ]
        self._bonus = torch.tensor([row + [0.0] * (most - len(row)) for row in bonuses], device=device)

    def __call__(self, scores: Tensor, said: Said) -> None:
        which, states = self._tracker.which(said.sentences), self._tracker.states(said)
        bonus = self._bonus[said.sentences.to(scores.device)].unsqueeze(1)  # [B,1,P]
        now = self._progress[which, states]
        others = self._progress[which.unsqueeze(2), self._tracker.after_others(states, which)] - now.unsqueeze(2)
        scores += self._tracker.by_word((others * bonus.unsqueeze(2)).sum(3))
        tokens = self._tracker.tokens(which)  # [B,1,P,A]
        own = self._progress[which.unsqueeze(3), self._tracker.after_own(states, which)] - now.unsqueeze(3)
        continues = self._tracker.continuing(tokens.clamp(min=0))
        granted = torch.where(continues, others[:, :, 0].unsqueeze(3), others[:, :, 1].unsqueeze(3))
        more = ((own - granted) * bonus.unsqueeze(3)).masked_fill(tokens < 0, 0)
        scores.scatter_add_(2, tokens.clamp(min=0).expand_as(more).flatten(2), more.flatten(2))


def _progress(automaton: Automaton, state: int) -> float:
    """How often the phrase is said, with the part that is said just now."""
    count, matched = automaton.parts(state)
    return count + matched / max(1, len(automaton.phrase))
