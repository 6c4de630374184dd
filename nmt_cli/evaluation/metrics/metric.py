"""The metric interface: statistics per sentence, whose sums give the score of any group of sentences."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

StatisticsArray = NDArray[np.float64]
"""[n,k]: k numbers for each of n sentences."""


@dataclass(frozen=True)
class EvaluationTexts:
    """Translations with their references and sources; line n of each corresponds to line n of the others."""

    hypotheses: Sequence[str]
    references: Sequence[Sequence[str]]
    """One list per set of references."""
    sources: Sequence[str] | None = None

    def source(self, line: int) -> str | None:
        """Return the source of the line with this 0-based index, if it is known."""
        return None if self.sources is None else self.sources[line]

    def references_of(self, line: int) -> list[str]:
        """Return all references of the line with this 0-based index."""
        return [lines[line] for lines in self.references]


class Metric(Protocol):
    """Scores detokenised text. Missing dependencies are reported on construction, not when scoring."""

    @property
    def key(self) -> str:
        """Name in a recipe, such as bleu."""
        ...

    @property
    def name(self) -> str:
        """Display name, such as BLEU or chrF2."""
        ...

    @property
    def lower_is_better(self) -> bool: ...

    @property
    def splits_at_spaces(self) -> bool:
        """Whether a word is what stands between spaces, so that text without spaces has none."""
        ...

    def statistics(self, texts: EvaluationTexts) -> StatisticsArray: ...

    def value(self, sums: Sequence[float]) -> float:
        """Return the score of sentences whose statistics add up to these k sums."""
        ...

    def details(self, sums: Sequence[float]) -> str:
        """Return a readable summary of the components of the score, or an empty string."""
        ...

    def signature(self, num_references: int) -> str:
        """Return `key:value|…` in sacreBLEU's format; only scores with equal signatures are comparable."""
        ...


@dataclass(frozen=True)
class MeanMetric:
    """Metric whose corpus score is the mean of sentence scores. Statistics: the score, and 1."""

    key: str
    name: str
    score_sentences: Callable[[EvaluationTexts], Sequence[float]]
    settings: str
    """Signature without the number of references."""
    lower_is_better: bool = False
    splits_at_spaces: bool = False

    def statistics(self, texts: EvaluationTexts) -> StatisticsArray:
        scores = np.array(self.score_sentences(texts), np.float64)
        return np.stack([scores, np.ones_like(scores)], axis=1)

    def value(self, sums: Sequence[float]) -> float:
        total, sentences = sums
        return total / sentences

    def details(self, sums: Sequence[float]) -> str:
        return ""

    def signature(self, num_references: int) -> str:
        return f"nrefs:{num_references}|{self.settings}"


@dataclass(frozen=True)
class ConfidenceInterval:
    """95 % confidence interval of a score, by bootstrap resampling of sentences."""

    mean: float
    """Mean score of all resamples."""
    low: float
    high: float
    resamples: int
    seed: int

    @property
    def half_width(self) -> float:
        """The number that sacreBLEU prints after ±."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class MetricScore:
    """Corpus score of one metric, with the information needed to reproduce it."""

    key: str
    """Name of the metric in a recipe, such as bleu."""
    name: str
    """Display name, such as BLEU or chrF2."""
    value: float
    """sacreBLEU's metrics lie between 0 and 100; error rates may be higher."""
    signature: str
    """Only scores with equal signatures are comparable."""
    details: str = ""
    """Components of the score, such as BLEU's precisions and brevity penalty."""
    lower_is_better: bool = False
    interval: ConfidenceInterval | None = None

    def as_sacrebleu(self) -> dict[str, str | float]:
        """Return the fields of sacreBLEU's JSON output, with unrounded numbers.

        `confidence_low` and `confidence_high` are additions. The signature covers the score, not the resampling.
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
class MetricStatistics:
    """Sentence statistics of one metric on one set of translations."""

    metric: Metric
    rows: StatisticsArray
    signature: str

    @cached_property
    def sums(self) -> list[float]:
        """Sums over all sentences, [k]."""
        return self.sums_of(range(len(self.rows)))

    @cached_property
    def value(self) -> float:
        """The corpus score."""
        return self.metric.value(self.sums)

    def sums_of(self, lines: Sequence[int]) -> list[float]:
        """Return the sums over the sentences with these 0-based indices."""
        # fsum: the result does not depend on the order of lines
        return [math.fsum(column) for column in self.rows[list(lines)].T]

    def value_of(self, lines: Sequence[int]) -> float:
        """Return the score of the sentences with these 0-based indices, as a corpus of their own."""
        return self.metric.value(self.sums_of(lines))

    def sentence_scores(self) -> list[float]:
        """Return the score of each sentence alone."""
        return [self.metric.value(row) for row in self.rows.tolist()]

    def score(self, interval: ConfidenceInterval | None = None) -> MetricScore:
        """Return the corpus score with its signature and details."""
        assert math.isfinite(self.value)
        metric = self.metric
        details = metric.details(self.sums)
        return MetricScore(
            metric.key, metric.name, self.value, self.signature, details, metric.lower_is_better, interval
        )
