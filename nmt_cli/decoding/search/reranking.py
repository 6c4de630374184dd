"""Search results are ranked again: by the coverage penalty, or by minimum Bayes risk.

The coverage penalty (Wu et al. 2016) gives translations that attend to the whole source a higher score.

Minimum Bayes risk decoding (Kumar & Byrne 2004) chooses the candidate that is most similar to all candidates. With the
candidates "a b", "a b" and "a c", drawn from the model, and a similarity of 1 for equal texts and 0.5 for the others,
the expected utility of "a b" is (1 + 1 + 0.5) / 3, and that of "a c" is (0.5 + 0.5 + 1) / 3.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from nmt_cli.decoding.scoring import score_targets
from nmt_cli.decoding.search.hypotheses import Hypothesis, best_first
from nmt_cli.errors import RecipeError
from nmt_cli.models.contract import Model, ModelInputs

Utility = Callable[[Sequence[str], Sequence[float]], list[float]]
"""Returns the expected utility of each text, given the probability that each of them is the correct translation."""
DecodeTokens = Callable[[list[list[int]]], list[str]]


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


def mbr_decode(
    found: Sequence[Sequence[Hypothesis]], decode: DecodeTokens, utility: Utility, n_best: int, *, are_samples: bool
) -> list[list[Hypothesis]]:
    """Return the `n_best` distinct candidates of each sentence. Their score is the expected utility.

    Args:
        decode: Turns token ids into texts.
        are_samples: Whether candidates were sampled, so that each counts the same; otherwise each counts by its
            probability.
    """
    texts = iter(decode([list(candidate.tokens) for candidates in found for candidate in candidates]))
    chosen = []
    for candidates in found:
        weights = [1 / len(candidates)] * len(candidates) if are_samples else _probabilities(candidates)
        utilities = utility([next(texts) for _ in candidates], weights)
        scored = {each.tokens: replace(each, score=value) for each, value in zip(candidates, utilities, strict=True)}
        chosen.append(best_first(scored.values())[:n_best])
    return chosen


def _probabilities(candidates: Sequence[Hypothesis]) -> list[float]:
    return torch.tensor([each.log_probability for each in candidates], dtype=torch.double).softmax(0).tolist()
