"""Judgements by people: scores by system, significance, and agreement between annotators."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Literal

import numpy as np

from nmt_cli.evaluation.significance import DEFAULT_RESAMPLES, chunk_sizes, p_value

JudgementKind = Literal["direct", "preference"]
"""Direct assessment of one translation, from 0 to 100; or the better of two, 1 or 2, or 0 if they are equally good."""
_SEED = 12345


@dataclass(frozen=True)
class Judgement:
    """One annotator's judgement of one item of a sheet."""

    annotator: str
    item: str
    line: int
    """Of the test set, from 1."""
    systems: tuple[str, ...]
    """The system of each translation, in the order in which they were shown."""
    value: float


@dataclass(frozen=True)
class JudgedSystem:
    """Judgements of one system."""

    system: str
    judgements: int
    mean: float
    """Direct: mean from 0 to 100. Preference: percentage of comparisons won, ties counted as half."""
    z: float | None = None
    """Direct: mean of the scores after those of each annotator were given mean 0 and deviation 1."""


@dataclass(frozen=True)
class JudgedPair:
    """The first system against another one."""

    first: str
    second: str
    lines: int
    difference: float
    """Mean over lines, second minus first: of z, or of wins (1), ties (0) and losses (-1) of the second."""
    p: float
    """By approximate randomisation over lines."""


@dataclass(frozen=True)
class HumanEvaluation:
    """Analysis of the sheets that came back."""

    kind: JudgementKind
    annotators: list[str]
    systems: list[JudgedSystem]
    """Best first."""
    pairs: list[JudgedPair]
    """Those with a line in common."""
    agreement: float | None
    """Krippendorff's alpha: 1 for perfect agreement, 0 for chance; None if no item was judged twice."""
    judged_twice: int
    """Items that more than one annotator judged."""


def analyse_judgements(kind: JudgementKind, judgements: Sequence[Judgement], baseline: str) -> HumanEvaluation:
    """Compare the systems with the baseline, and the annotators with each other."""
    scored = _z_scores(judgements) if kind == "direct" else [_wins(each) for each in judgements]
    by_system: dict[str, list[tuple[float, float]]] = defaultdict(list)
    by_line: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for judgement, scores in zip(judgements, scored, strict=True):
        for system, score in scores.items():
            raw = judgement.value if kind == "direct" else 50 + 50 * score
            by_system[system].append((raw, score))
            if kind == "direct" or system != baseline:
                by_line[system][judgement.line].append(score)
    systems = [
        JudgedSystem(
            name, len(each), fmean(raw for raw, _ in each), fmean(z for _, z in each) if kind == "direct" else None
        )
        for name, each in by_system.items()
    ]
    units: dict[str, dict[str, float]] = defaultdict(dict)
    for judgement in judgements:
        units[judgement.item][judgement.annotator] = judgement.value
    twice = [list(values.values()) for values in units.values() if len(values) > 1]
    return HumanEvaluation(
        kind,
        sorted({judgement.annotator for judgement in judgements}),
        sorted(systems, key=lambda each: -each.mean),
        [pair for name in by_system if name != baseline and (pair := _pair(kind, baseline, name, by_line)) is not None],
        krippendorff_alpha(kind, twice) if twice else None,
        len(twice),
    )


def krippendorff_alpha(kind: JudgementKind, units: Sequence[Sequence[float]]) -> float:
    """Return Krippendorff's alpha, 1 - observed / expected disagreement (Krippendorff 2011).

    Args:
        kind: Direct assessments are interval data, preferences nominal data.
        units: At least two values for each thing that was judged, in any number.
    """
    expected = _disagreement(kind, [value for unit in units for value in unit])
    return 1 - sum(_disagreement(kind, unit) for unit in units) / expected if expected else 1.0


def _disagreement(kind: JudgementKind, values: Sequence[float]) -> float:
    """Return the sum of the distances of all ordered pairs, divided by the number of values less 1.

    The distance is the squared difference, or 1 for unequal preferences.
    """
    count = len(values)
    if kind == "direct":
        return 2 * count**2 * float(np.var(values)) / (count - 1)
    sizes = np.unique(values, return_counts=True)[1]
    return float(count**2 - (sizes**2).sum()) / (count - 1)


def _z_scores(judgements: Sequence[Judgement]) -> list[dict[str, float]]:
    """Return the score of each judgement by its system, with mean 0 and deviation 1 for each annotator."""
    by_annotator: dict[str, list[float]] = defaultdict(list)
    for each in judgements:
        by_annotator[each.annotator].append(each.value)
    scale = {name: (fmean(values), pstdev(values) or 1.0) for name, values in by_annotator.items()}
    found = []
    for each in judgements:
        mean, deviation = scale[each.annotator]
        found.append({each.systems[0]: (each.value - mean) / deviation})
    return found


def _wins(judgement: Judgement) -> dict[str, float]:
    """Return 1 for the preferred system, -1 for the other one; 0 for both if they are equally good."""
    first, second = judgement.systems
    sign = {0: 0.0, 1: 1.0, 2: -1.0}[int(judgement.value)]
    return {first: sign, second: -sign}


def _pair(
    kind: JudgementKind, first: str, second: str, by_line: Mapping[str, Mapping[int, Sequence[float]]]
) -> JudgedPair | None:
    """Test the second system against the first: flip the sign of each line's difference at random.

    None if the systems have no line in common.
    """
    other = by_line[second]
    if kind == "direct":
        base = by_line[first]
        differences = np.array([fmean(other[line]) - fmean(base[line]) for line in other if line in base])
    else:
        differences = np.array([fmean(scores) for scores in other.values()])
    if not len(differences):
        return None
    rng, observed = np.random.default_rng(_SEED), float(differences.mean())
    means = np.concatenate(
        [
            rng.choice([-1.0, 1.0], (rows, len(differences))) @ differences / len(differences)
            for rows in chunk_sizes(DEFAULT_RESAMPLES["randomisation"], len(differences))
        ]
    )
    p = p_value(np.abs(means) >= abs(observed) - 1e-9)
    return JudgedPair(first, second, len(differences), observed, p)
