"""Diverse beam search (Vijayakumar et al. 2018): groups of hypotheses that avoid each other's tokens.

Each group is an ordinary beam and a row of the batch, with index sentence * groups + group. At each step the groups of
a sentence select one after the other. For a later group, a token costs `diversity_penalty` for each hypothesis of
earlier groups that has just been extended with it. The cost counts in this selection only.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from nmt_cli.decoding.logits_processors.processor import ProcessorStates, TokenScores
from nmt_cli.decoding.search.candidates import ActiveBeams, Candidates, Selection, top_tokens
from nmt_cli.decoding.search.hypotheses import Hypothesis, best_first


class DiverseSelector:
    """Selects for all groups of all sentences."""

    def __init__(self, num_groups: int, diversity_penalty: float, group_size: int, eos: int) -> None:
        self._num_groups, self._penalty, self._group_size, self._eos = num_groups, diversity_penalty, group_size, eos

    def __call__(self, scores: TokenScores, beams: ActiveBeams, rows: Tensor, states: ProcessorStates) -> Selection:
        sentences = rows.to(scores.log_probs.device) // self._num_groups
        used = scores.scores.new_zeros(int(rows.max()) // self._num_groups + 1, scores.scores.size(-1))  # [B,V]
        finished, active, order = list[Candidates](), list[Candidates](), list[Tensor]()
        for group in range(self._num_groups):
            here = (rows % self._num_groups == group).nonzero()[:, 0].to(sentences.device)
            cost = self._penalty * used[sentences[here]]
            own = TokenScores(scores.log_probs[here], scores.scores[here])
            tokens = top_tokens(own.scores - cost.unsqueeze(1), self._group_size)
            found = Candidates.from_tokens(tokens, own, beams.select(here))
            with_cost = found.path_scores - cost.gather(1, found.token_ids)
            found = found.gather(with_cost.sort(dim=1, descending=True, stable=True).indices)
            finished.append(found.first(self._group_size).only_eos(self._eos))
            active.append(found.without_eos(self._eos, self._group_size))
            count = active[-1].path_scores.isfinite().to(used.dtype)
            sentence = sentences[here].unsqueeze(1).expand_as(count)
            used.index_put_((sentence, active[-1].token_ids), count, accumulate=True)
            order.append(here)
        back = torch.cat(order).argsort()
        return Selection(Candidates.concat(finished, back), Candidates.concat(active, back))


def group_rows(batch_size: int, num_groups: int, device: torch.device) -> Tensor:
    """Return the rows [B*groups,1] that repeat the only hypothesis of each sentence for each group."""
    return torch.arange(batch_size, device=device).repeat_interleave(num_groups).unsqueeze(1)


def merge_groups(found: Sequence[Sequence[Hypothesis]], num_groups: int, count: int) -> list[list[Hypothesis]]:
    """Return up to `count` different hypotheses of each sentence, from those of each of its groups.

    The best of each group come first, then the second best, and so on.
    """
    merged = []
    for first in range(0, len(found), num_groups):
        groups = found[first : first + num_groups]
        turns = (
            best_first(group[rank] for group in groups if rank < len(group)) for rank in range(max(map(len, groups)))
        )
        distinct = {hypothesis.tokens: hypothesis for turn in turns for hypothesis in turn}
        merged.append(best_first(list(distinct.values())[:count]))
    return merged
