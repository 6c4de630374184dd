"""What every metric is: statistics of each sentence, whose sums give the score of any sentences together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
"""[n,k]: k numbers for each of n sentences."""


@dataclass(frozen=True)
class Texts:
    """Translations and what they are judged by; line n of each belongs to line n of the others."""

    hypotheses: Sequence[str]
    references: Sequence[Sequence[str]]
    """One list for each set of references."""
    sources: Sequence[str] | None = None


class Metric(Protocol):
    """Scores detokenised text. What it cannot work without is looked for when it is made, not when it scores."""

    @property
    def key(self) -> str:
        """Its name in a recipe, such as bleu."""
        ...

    @property
    def name(self) -> str:
        """Its name to people, such as BLEU or chrF2."""
        ...

    @property
    def lower_is_better(self) -> bool: ...

    def statistics(self, texts: Texts) -> Rows: ...

    def value(self, sums: Sequence[float]) -> float:
        """The score of sentences whose statistics add up to these k sums."""
        ...

    def details(self, sums: Sequence[float]) -> str:
        """What that score is made of, for people; empty if nothing."""
        ...

    def signature(self, references: int) -> str:
        """`key:value|…`, as sacreBLEU writes it: scores are comparable only where it is the same."""
        ...


@dataclass(frozen=True)
class Interval:
    """Where the score would lie, 19 times out of 20, for other sentences of the same kind."""

    mean: float
    """Of the scores of all resamples."""
    low: float
    high: float
    resamples: int
    seed: int

    @property
    def half_width(self) -> float:
        """What stands after ± in sacreBLEU."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Score:
    """One score of a set of translations, with all that is needed to compute it again."""

    key: str
    """The metric's name in a recipe, such as bleu."""
    name: str
    """Its name to people, such as BLEU or chrF2."""
    value: float
    """Of sacreBLEU's metrics between 0 and 100; error rates may exceed that."""
    signature: str
    """Scores are comparable only where it is the same."""
    details: str = ""
    """What the score is made of, such as BLEU's precisions and brevity penalty; empty if nothing."""
    lower_is_better: bool = False
    interval: Interval | None = None

    def as_sacrebleu(self) -> dict[str, str | float]:
        """The fields that sacreBLEU itself prints as JSON, numbers with all their digits.

        `confidence_low` and `confidence_high` are ours. The signature tells of the score alone, not of resamples.
        """
        fields: dict[str, str | float] = {"name": self.name, "score": self.value, "signature": self.signature}
        if self.interval:
            fields |= {
                "confidence_mean": self.interval.mean,
                "confidence_var": self.interval.half_width,
                "confidence": f"μ = {self.interval.mean:.1f} ± {self.interval.half_width:.1f}",
                "confidence_low": self.interval.low,
                "confidence_high": self.interval.high,
                "bs": str(self.interval.resamples),
                "seed": str(self.interval.seed),
            }
        if self.details:
            fields["verbose_score"] = self.details
        return {**fields, **dict(part.split(":", 1) for part in self.signature.split("|"))}


@dataclass(frozen=True)
class Measured:
    """What one metric found in one set of translations."""

    metric: Metric
    rows: Rows
    signature: str

    @cached_property
    def sums(self) -> list[float]:
        """Of all sentences."""
        return self.sums_of(range(len(self.rows)))

    @cached_property
    def value(self) -> float:
        """The corpus score."""
        return self.metric.value(self.sums)

    def sums_of(self, lines: Sequence[int]) -> list[float]:
        """The sums of some sentences, counted from 0."""
        # fsum: the same for every order of lines
        return [math.fsum(column) for column in self.rows[list(lines)].T]

    def value_of(self, lines: Sequence[int]) -> float:
        """The score of some sentences, as if they were the corpus."""
        return self.metric.value(self.sums_of(lines))

    def of_each_sentence(self) -> list[float]:
        """The score of every sentence on its own."""
        return [self.metric.value(row) for row in self.rows.tolist()]

    def score(self, interval: Interval | None = None) -> Score:
        """The corpus score and where it comes from."""
        assert math.isfinite(self.value)
        metric = self.metric
        details = metric.details(self.sums)
        return Score(metric.key, metric.name, self.value, self.signature, details, metric.lower_is_better, interval)
