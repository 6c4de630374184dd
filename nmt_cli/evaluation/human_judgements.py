"""Judgements by people: scores by system, significance, and agreement between annotators."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from statistics import fmean, pstdev
from typing import Literal

import numpy as np

JudgementKind = Literal["direct", "preference"]
"""Direct assessment of one translation, from 0 to 100; or the better of two, 1 or 2, or 0 if they are equally good."""
_RESAMPLES = 10_000
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
        [_pair(kind, baseline, name, by_line) for name in by_system if name != baseline],
        krippendorff_alpha(twice, _squared if kind == "direct" else _unequal) if twice else None,
        len(twice),
    )


def krippendorff_alpha(units: Sequence[Sequence[float]], distance: Callable[[float, float], float]) -> float:
    """Return Krippendorff's alpha, 1 - observed / expected disagreement (Krippendorff 2011).

    Args:
        units: At least two values for each thing that was judged, in any number.
        distance: 0 for equal values; the squared difference for interval data, 1 for unequal nominal data.
    """
    values = [value for unit in units for value in unit]
    observed = sum(sum(distance(*pair) for pair in permutations(unit, 2)) / (len(unit) - 1) for unit in units)
    expected = sum(distance(*pair) for pair in permutations(values, 2)) / (len(values) - 1)
    return 1 - observed / expected if expected else 1.0


def _squared(one: float, other: float) -> float:
    return (one - other) ** 2


def _unequal(one: float, other: float) -> float:
    return float(one != other)


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
) -> JudgedPair:
    """Test the second system against the first: flip the sign of each line's difference at random."""
    other = by_line[second]
    if kind == "direct":
        base = by_line[first]
        differences = [fmean(other[line]) - fmean(base[line]) for line in other if line in base]
    else:
        differences = [fmean(scores) for scores in other.values()]
    if not differences:
        return JudgedPair(first, second, 0, math.nan, 1.0)
    values = np.array(differences)
    signs = np.random.default_rng(_SEED).choice([-1.0, 1.0], (_RESAMPLES, len(values)))
    exceeds = np.abs((signs * values).mean(1)) >= abs(values.mean()) - 1e-9
    p = (int(np.count_nonzero(exceeds)) + 1) / (_RESAMPLES + 1)
    return JudgedPair(first, second, len(values), float(values.mean()), p)
