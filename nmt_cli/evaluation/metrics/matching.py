"""Whole lines and symbols that match: exact match, and the error rates of grapheme-to-phoneme conversion."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nmt_cli import __version__
from nmt_cli.evaluation.metrics.averages import MeanMetric
from nmt_cli.evaluation.metrics.contract import Rows, Texts
from nmt_cli.recipe.evaluation import Evaluation


def exact_match(_settings: Evaluation) -> MeanMetric:
    """Percentage of lines that are, character by character, one of their references."""
    return MeanMetric("exact_match", "exact match", _matches, f"case:mixed|version:{__version__}")


def word_error_rate(_settings: Evaluation) -> MeanMetric:
    """Percentage of lines that are none of their references, each line being the pronunciation of one word."""
    return MeanMetric(
        "wer", "WER", lambda texts: [100 - match for match in _matches(texts)], f"unit:line|version:{__version__}", True
    )


def phoneme_error_rate(_settings: Evaluation) -> "PhonemeErrorRate":
    """Insertions, deletions and substitutions per 100 symbols of the reference; spaces part symbols."""
    return PhonemeErrorRate()


@dataclass(frozen=True)
class PhonemeErrorRate:
    """Statistics of a sentence are its edits and the symbols of its reference: of several, the one with fewest edits
    for its length. On ordinary text it is what speech recognition calls word error rate."""

    key: str = "per"
    name: str = "PER"
    lower_is_better: bool = True

    def statistics(self, texts: Texts) -> Rows:
        rows = []
        for hypothesis, *references in zip(texts.hypotheses, *texts.references, strict=True):
            symbols = hypothesis.split()
            counts = [(edits(symbols, other), len(other)) for other in map(str.split, references)]
            rows.append(min(counts, key=lambda count: count[0] / max(count[1], 1)))
        return np.array(rows, np.float64)

    def value(self, sums: Sequence[float]) -> float:
        found, expected = sums
        if not expected:  # as TER counts it
            return 100.0 if found else 0.0
        return 100 * found / expected

    def details(self, sums: Sequence[float]) -> str:
        return f"{sums[0]:.0f} edits, {sums[1]:.0f} symbols"

    def signature(self, references: int) -> str:
        return f"nrefs:{references}|unit:symbol|version:{__version__}"


def edits(first: Sequence[str], second: Sequence[str]) -> int:
    """Levenshtein's distance: fewest insertions, deletions and substitutions that turn one into the other."""
    row = list(range(len(second) + 1))
    for number, symbol in enumerate(first, 1):
        diagonal, row[0] = row[0], number
        for column, other in enumerate(second, 1):
            best = min(diagonal + (symbol != other), row[column] + 1, row[column - 1] + 1)
            diagonal, row[column] = row[column], best
    return row[-1]


def _matches(texts: Texts) -> list[float]:
    pairs = zip(texts.hypotheses, *texts.references, strict=True)
    return [100.0 * (hypothesis in references) for hypothesis, *references in pairs]
