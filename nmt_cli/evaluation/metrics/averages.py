"""Metrics whose score is the mean of the sentences' own scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nmt_cli.evaluation.metrics.contract import Rows, Texts


@dataclass(frozen=True)
class MeanMetric:
    """Statistics of a sentence are its score and 1."""

    key: str
    name: str
    of_sentences: Callable[[Texts], Sequence[float]]
    settings: str
    """What a signature says besides the number of references."""
    lower_is_better: bool = False

    def statistics(self, texts: Texts) -> Rows:
        scores = np.array(self.of_sentences(texts), np.float64)
        return np.stack([scores, np.ones_like(scores)], axis=1)

    def value(self, sums: Sequence[float]) -> float:
        total, sentences = sums
        return total / sentences

    def details(self, sums: Sequence[float]) -> str:
        return ""

    def signature(self, references: int) -> str:
        return f"nrefs:{references}|{self.settings}"
