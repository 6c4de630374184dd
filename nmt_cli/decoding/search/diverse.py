"""Diverse beam search (Vijayakumar et al. 2018): groups of hypotheses that shun each other's words."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nmt_cli.decoding.rules import Words
from nmt_cli.decoding.search.choosing import Choice, Continuations, Live, best_words
from nmt_cli.decoding.search.hypotheses import Hypothesis, best_first


class Diverse:
    """Each group is a plain beam, a row of the batch, numbered sentence·groups + group; groups choose one by one.

    To a later group a word ranks lower for each hypothesis of earlier groups that goes on with it in this step. That
    counts in this choice only.
    """

    def __init__(self, groups: int, diversity: float, beam: int, end: int) -> None:
        """`beam` is the size of a group."""
        self.groups, self.diversity, self.beam, self.end = groups, diversity, beam, end

    def __call__(self, words: Words, live: Live, sentences: Tensor) -> Choice:
        rows = sentences.to(words.own.device)
        taken = words.ranked.new_zeros(int(sentences.max()) // self.groups + 1, words.ranked.size(-1))  # [B,V]
        ending, going_on, order = list[Continuations](), list[Continuations](), list[Tensor]()
        for group in range(self.groups):
            here = (sentences % self.groups == group).nonzero()[:, 0].to(rows.device)
            cost = self.diversity * taken[rows[here] // self.groups]
            mine = Words(words.own[here], words.ranked[here])
            tokens = best_words(mine.ranked - cost.unsqueeze(1), self.beam)
            found = Continuations.by(tokens, mine, live.select(here))
            found = found.take(
                (found.rank - cost.gather(1, found.tokens)).sort(dim=1, descending=True, stable=True).indices
            )
            ending.append(found.first(self.beam).ending(self.end))
            going_on.append(found.not_ending(self.end, self.beam))
            said = going_on[-1].rank.isfinite().to(taken.dtype)
            sentence = (rows[here] // self.groups).unsqueeze(1).expand_as(said)
            taken.index_put_((sentence, going_on[-1].tokens), said, accumulate=True)
            order.append(here)
        back = torch.cat(order).argsort()
        return Choice(Continuations.joined(ending, back), Continuations.joined(going_on, back))


def merged(groups: Sequence[Sequence[Hypothesis]], n_best: int) -> list[Hypothesis]:
    """The best of each group, then their second best, …, until there are `n_best`, each only once."""
    deepest = max(map(len, groups))
    turns = (best_first(group[place] for group in groups if place < len(group)) for place in range(deepest))
    found = {hypothesis.tokens: hypothesis for turn in turns for hypothesis in turn}
    return best_first(list(found.values())[:n_best])
