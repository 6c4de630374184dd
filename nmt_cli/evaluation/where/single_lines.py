"""Single lines: those translated best and worst, and those that another system gains and loses most on."""

from collections.abc import Sequence
from dataclasses import dataclass

from nmt_cli.evaluation.metrics.contract import Measured, Texts

_BY = ("chrf", "chrf++", "bleu")
"""Metrics that tell single sentences apart, best first."""


@dataclass(frozen=True)
class LineScore:
    """One line of a test set and how well it is translated."""

    line: int
    """Counted from 1, as editors do."""
    score: float
    source: str | None
    hypothesis: str
    references: list[str]


@dataclass(frozen=True)
class LineChange:
    """One line as two systems translate it."""

    line: int
    """Counted from 1."""
    first_score: float
    second_score: float
    source: str | None
    first: str
    second: str
    references: list[str]


def telling(measured: Sequence[Measured]) -> Measured:
    """The metric by which single lines are put in order: chrF if it is there, else the first."""
    by_key = {each.metric.key: each for each in measured}
    return next((by_key[key] for key in _BY if key in by_key), measured[0])


def worst_lines(texts: Texts, measured: Measured, shown: int) -> list[LineScore]:
    """The lines translated worst, the worst first."""
    scores = measured.of_each_sentence()
    order = sorted(range(len(scores)), key=lambda line: scores[line], reverse=measured.metric.lower_is_better)
    return [
        LineScore(
            line + 1,
            scores[line],
            texts.sources[line] if texts.sources is not None else None,
            texts.hypotheses[line],
            [lines[line] for lines in texts.references],
        )
        for line in order[:shown]
    ]


def changed_lines(
    first: Texts, first_measured: Measured, second: Texts, second_measured: Measured, shown: int
) -> tuple[list[LineChange], list[LineChange]]:
    """The lines that the second system gains most on, and those that it loses most on, by the score of each alone."""
    before, after = first_measured.of_each_sentence(), second_measured.of_each_sentence()
    sign = -1 if first_measured.metric.lower_is_better else 1
    gains = [sign * (new - old) for old, new in zip(before, after, strict=True)]
    order = sorted(range(len(gains)), key=lambda line: -gains[line])

    def change(line: int) -> LineChange:
        return LineChange(
            line + 1,
            before[line],
            after[line],
            first.sources[line] if first.sources is not None else None,
            first.hypotheses[line],
            second.hypotheses[line],
            [lines[line] for lines in first.references],
        )

    gained = [change(line) for line in order if gains[line] > 0][:shown]
    lost = [change(line) for line in reversed(order) if gains[line] < 0][:shown]
    return gained, lost
