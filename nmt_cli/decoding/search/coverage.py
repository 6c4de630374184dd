"""The coverage penalty (Wu et al. 2016): translations that look at the whole source rank higher."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from nmt_cli.decoding.scoring import score_targets
from nmt_cli.decoding.search.hypotheses import Hypothesis, best_first
from nmt_cli.errors import RecipeError
from nmt_cli.models.contract import Model, ModelInputs

_LEAST = 1e-9
"""Attention to a word that was never looked at, so that its logarithm is a number."""


def by_coverage(
    model: Model, source: ModelInputs, found: Sequence[Sequence[Hypothesis]], penalty: float
) -> list[list[Hypothesis]]:
    """Rank again, by score + penalty · Σ log min(1, attention to a source word), the source's end apart.

    Costs one forced decoding of each hypothesis. RecipeError if the model has no attention.
    """
    ranked: list[list[Hypothesis]] = [[] for _ in found]
    for place in range(max(map(len, found), default=0)):
        tokens = [hypotheses[place].tokens if place < len(hypotheses) else () for hypotheses in found]
        for number, scores in enumerate(score_targets(model, source, tokens, attention=True)):
            if scores.cross_attention is None:
                raise RecipeError("decoding.coverage_penalty: this model has no attention; leave it out")
            if place < len(found[number]):
                looked = scores.cross_attention[:, :-1].sum(0).clamp(_LEAST, 1)
                hypothesis = found[number][place]
                score = hypothesis.score + penalty * float(torch.log(looked).sum())
                ranked[number].append(replace(hypothesis, score=score))
    return [best_first(hypotheses) for hypotheses in ranked]
