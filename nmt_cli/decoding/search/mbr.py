"""Minimum Bayes risk decoding: choose the candidate that is most similar to all candidates (Kumar & Byrne 2004).

With the candidates "a b", "a b" and "a c", drawn from the model, and a similarity of 1 for equal texts and 0.5 for the
others, the expected utility of "a b" is (1 + 1 + 0.5) / 3, and that of "a c" is (0.5 + 0.5 + 1) / 3.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from nmt_cli.decoding.search.hypotheses import Hypothesis, best_first

Utility = Callable[[Sequence[str], Sequence[float]], list[float]]
"""Returns the expected utility of each text, given the probability that each of them is the correct translation."""
DecodeTokens = Callable[[list[list[int]]], list[str]]


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
