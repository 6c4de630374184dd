"""Utility functions of minimum Bayes risk decoding: sacreBLEU's sentence scores, for all pairs of texts at once."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from sacrebleu.metrics.chrf import CHRF

from nmt_cli.evaluation.metrics.sacrebleu import bleu_with
from nmt_cli.evaluation.target_language import for_language
from nmt_cli.recipe.evaluation import Evaluation

UtilityMatrix = npt.NDArray[np.float64]
"""[n,n]: score between 0 and 100 of text i (row) with text j as its reference (column)."""
UtilityFunction = Callable[[Sequence[str]], UtilityMatrix]


def utility_function(metric: str, settings: Evaluation) -> UtilityFunction:
    """Return the utility function of the metric with this name: chrf or bleu."""
    if metric == "chrf":
        return pairwise_chrf
    tokenizer = for_language(settings, None).bleu_tokenizer
    return lambda texts: pairwise_bleu(texts, tokenizer)


def expected_utilities(texts: Sequence[str], weights: Sequence[float], utility: UtilityFunction) -> list[float]:
    """Return the expected utility of each text, over references drawn from `texts` in proportion to `weights`.

    Equal texts are compared once.
    """
    index_of = {text: index for index, text in enumerate(dict.fromkeys(texts))}
    mass = np.zeros(len(index_of))
    np.add.at(mass, [index_of[text] for text in texts], weights)
    expected = utility(list(index_of)) @ (mass / mass.sum())
    return [float(expected[index_of[text]]) for text in texts]


def pairwise_chrf(texts: Sequence[str]) -> UtilityMatrix:
    """Return the sentence chrF2 (Popović 2015) of sacreBLEU for all pairs."""
    metric = CHRF()
    precision, recall, orders = (np.zeros((len(texts), len(texts))) for _ in range(3))
    characters = ["".join(text.split()) for text in texts]
    for length in range(1, metric.char_order + 1):
        matches, totals = _ngram_matches([_ngram_counts(row, length) for row in characters])
        is_counted = np.minimum(totals[:, None], totals) > 0
        precision += np.where(is_counted, matches / np.maximum(totals[:, None], 1), 0)
        recall += np.where(is_counted, matches / np.maximum(totals, 1), 0)
        orders += is_counted
    precision, recall = precision / np.maximum(orders, 1), recall / np.maximum(orders, 1)
    weighted = metric.beta**2 * precision + recall
    return 100 * (1 + metric.beta**2) * precision * recall / np.where(weighted > 0, weighted, 1)


def pairwise_bleu(texts: Sequence[str], tokenizer: str) -> UtilityMatrix:
    """Return the sentence BLEU of sacreBLEU (effective order, exponential smoothing) for all pairs."""
    metric = bleu_with(tokenizer, "evaluation.bleu_tokenizer", effective_order=True)
    words = [tuple(metric.tokenizer(text.rstrip()).split()) for text in texts]
    lengths = np.array([len(row) for row in words], dtype=np.float64)
    log_precision, orders, has_match = (np.zeros((len(texts), len(texts))) for _ in range(3))
    smoothed = np.ones((len(texts), len(texts)))
    for length in range(1, metric.max_ngram_order + 1):
        matches, totals = _ngram_matches([_ngram_counts(row, length) for row in words])
        is_counted = np.broadcast_to(totals[:, None] > 0, matches.shape)
        smoothed = np.where(is_counted & (matches == 0), smoothed / 2, smoothed)
        precision = np.where(matches > 0, matches, smoothed) / np.maximum(totals[:, None], 1)
        log_precision += np.where(is_counted, np.log(precision), 0)
        orders += is_counted
        has_match += matches > 0
    brevity = np.exp(np.minimum(0, 1 - lengths / np.maximum(lengths[:, None], 1)))
    return np.where(has_match > 0, 100 * brevity * np.exp(log_precision / np.maximum(orders, 1)), 0)


def _ngram_counts(row: str | tuple[str, ...], length: int) -> Counter[str | tuple[str, ...]]:
    return Counter(row[start : start + length] for start in range(len(row) - length + 1))


def _ngram_matches(
    counts: Sequence[Counter[str | tuple[str, ...]]],
) -> tuple[UtilityMatrix, npt.NDArray[np.float64]]:
    """Return the n-grams [n,n] that each pair of texts has in common, and all n-grams [n] of each text."""
    index_of = {ngram: index for index, ngram in enumerate(dict.fromkeys(ngram for row in counts for ngram in row))}
    table = np.zeros((len(counts), len(index_of)))
    for text, row in enumerate(counts):
        table[text, [index_of[ngram] for ngram in row]] = list(row.values())
    return np.array([np.minimum(table, row).sum(1) for row in table]), table.sum(1)
