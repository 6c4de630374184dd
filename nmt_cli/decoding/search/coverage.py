"""The coverage penalty (Wu et al. 2016): translations that attend to the whole source get a higher score."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from nmt_cli.decoding.scoring import score_targets
from nmt_cli.decoding.search.hypotheses import Hypothesis, best_first
from nmt_cli.errors import RecipeError
from nmt_cli.models.contract import Model, ModelInputs

_MIN_ATTENTION = 1e-9
"""Lower bound of the attention to a token, so that its logarithm is finite."""


def rerank_by_coverage(
    model: Model, inputs: ModelInputs, found: Sequence[Sequence[Hypothesis]], penalty: float
) -> list[list[Hypothesis]]:
    """Add penalty * Σ log min(1, attention to a source token) to each score, without the source's eos, and sort again.

    Costs one forced decoding of each hypothesis.

    Raises:
        RecipeError: The model has no attention.
    """
    reranked: list[list[Hypothesis]] = [[] for _ in found]
    for rank in range(max(map(len, found), default=0)):
        tokens = [hypotheses[rank].tokens if rank < len(hypotheses) else () for hypotheses in found]
        for sentence, scores in enumerate(score_targets(model, inputs, tokens, attention=True)):
            if scores.cross_attention is None:
                raise RecipeError("decoding.coverage_penalty: this model has no attention; remove the key")
            if rank < len(found[sentence]):
                attention = scores.cross_attention[:, :-1].sum(0).clamp(_MIN_ATTENTION, 1)
                hypothesis = found[sentence][rank]
                score = hypothesis.score + penalty * float(torch.log(attention).sum())
                reranked[sentence].append(replace(hypothesis, score=score))
    return [best_first(hypotheses) for hypotheses in reranked]
