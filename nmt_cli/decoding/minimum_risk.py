"""Minimum Bayes risk: of many candidates, those that are most like what else the model would say."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from nmt_cli.decoding.search.hypotheses import Hypothesis, best_first
from nmt_cli.recipe.decoding import MinimumRiskSettings

Utility = Callable[[Sequence[str], Sequence[float]], list[float]]
"""How much each text is worth if the true translation is one of them, by the probability of each."""


def least_risky(
    found: Sequence[Sequence[Hypothesis]],
    decode: Callable[[list[list[int]]], list[str]],
    utility: Utility,
    settings: MinimumRiskSettings,
) -> list[list[Hypothesis]]:
    """The `n_best` of the candidates of each sentence, each once; what ranks them, the score, is the expected utility.

    Samples stand for the distribution they were drawn from; of a beam's candidates each weighs what its probability is.
    """
    texts = iter(decode([list(candidate.tokens) for candidates in found for candidate in candidates]))
    chosen = []
    for candidates in found:
        worth = utility([next(texts) for _ in candidates], _weights(candidates, settings))
        scored = {each.tokens: replace(each, score=value) for each, value in zip(candidates, worth, strict=True)}
        chosen.append(best_first(scored.values())[: settings.n_best])
    return chosen


def _weights(candidates: Sequence[Hypothesis], settings: MinimumRiskSettings) -> list[float]:
    if settings.candidates_from == "sampling":
        return [1 / len(candidates)] * len(candidates)
    return torch.tensor([each.log_probability for each in candidates], dtype=torch.double).softmax(0).tolist()
