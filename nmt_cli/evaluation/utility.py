"""How alike translations of one sentence are: sacreBLEU's sentence scores of each against each, computed at once."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from nmt_cli.recipe.evaluation import Evaluation

Floats = npt.NDArray[np.float64]
Similarity = Callable[[Sequence[str]], Floats]
"""Scores [n,n] between 0 and 100 of each text, a row, with each as its reference, a column."""


def similarity(metric: str, settings: Evaluation) -> Similarity:
    """By a metric's name in a recipe."""
    return chrf if metric == "chrf" else lambda texts: bleu(texts, settings.bleu_tokenizer)


def expected_utilities(texts: Sequence[str], weights: Sequence[float], similarity: Similarity) -> list[float]:
    """What each text is worth if the right one is among them, each with the probability that `weights` say.

    Texts that are equal are compared once.
    """
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    mass = np.zeros(len(numbers))
    np.add.at(mass, [numbers[text] for text in texts], weights)
    expected = similarity(list(numbers)) @ (mass / mass.sum())
    return [float(expected[numbers[text]]) for text in texts]


def chrf(texts: Sequence[str]) -> Floats:
    """The sentence chrF2 (Popović 2015) of sacreBLEU."""
    metric = CHRF()
    precision, recall, orders = (np.zeros((len(texts), len(texts))) for _ in range(3))
    characters = ["".join(text.split()) for text in texts]
    for length in range(1, metric.char_order + 1):
        matches, totals = _matches([_ngrams(row, length) for row in characters])
        counts = np.minimum(totals[:, None], totals) > 0
        precision += np.where(counts, matches / np.maximum(totals[:, None], 1), 0)
        recall += np.where(counts, matches / np.maximum(totals, 1), 0)
        orders += counts
    precision, recall = precision / np.maximum(orders, 1), recall / np.maximum(orders, 1)
    weighted = metric.beta**2 * precision + recall
    return 100 * (1 + metric.beta**2) * precision * recall / np.where(weighted > 0, weighted, 1)


def bleu(texts: Sequence[str], tokenizer: str) -> Floats:
    """The sentence BLEU of sacreBLEU, which smooths exponentially and counts the orders that there are."""
    metric = BLEU(tokenize=tokenizer, effective_order=True)
    words = [tuple(metric.tokenizer(text.rstrip()).split()) for text in texts]
    lengths = np.array([len(row) for row in words], dtype=np.float64)
    logarithms, orders, is_alike = (np.zeros((len(texts), len(texts))) for _ in range(3))
    halved = np.ones((len(texts), len(texts)))
    for length in range(1, metric.max_ngram_order + 1):
        matches, totals = _matches([_ngrams(row, length) for row in words])
        counts = np.broadcast_to(totals[:, None] > 0, matches.shape)
        halved = np.where(counts & (matches == 0), halved / 2, halved)
        precision = np.where(matches > 0, matches, halved) / np.maximum(totals[:, None], 1)
        logarithms += np.where(counts, np.log(precision), 0)
        orders += counts
        is_alike += matches > 0
    brevity = np.exp(np.minimum(0, 1 - lengths / np.maximum(lengths[:, None], 1)))
    return np.where(is_alike > 0, 100 * brevity * np.exp(logarithms / np.maximum(orders, 1)), 0)


def _ngrams(row: str | tuple[str, ...], length: int) -> Counter[str | tuple[str, ...]]:
    return Counter(row[place : place + length] for place in range(len(row) - length + 1))


def _matches(counts: Sequence[Counter[str | tuple[str, ...]]]) -> tuple[Floats, Floats]:
    """Of texts with these counts of n-grams: how many [n,n] each has in common with each, and all [n] it has."""
    numbers = {ngram: number for number, ngram in enumerate(dict.fromkeys(ngram for row in counts for ngram in row))}
    table = np.zeros((len(counts), len(numbers)))
    for place, row in enumerate(counts):
        table[place, [numbers[ngram] for ngram in row]] = list(row.values())
    return np.array([np.minimum(table, row).sum(1) for row in table]), table.sum(1)
