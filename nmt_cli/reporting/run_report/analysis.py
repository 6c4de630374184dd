"""Where translations are good and where not: kinds of sentences, rare words, phrases, worst lines, disturbed text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from nmt_cli import files
from nmt_cli.errors import DataError, NmtError
from nmt_cli.reporting.run_report.evaluations import Evaluation
from nmt_cli.reporting.run_report.samples import Sample, sample
from nmt_cli.reporting.run_report.section import Section, absent
from nmt_cli.reporting.run_report.training import METRIC_NAMES
from nmt_cli.reporting.templates import score_text
from nmt_cli.runs.directory import ANALYSIS, ROBUSTNESS

_WORST = 5
_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class Slice:
    """Sentences of one kind, and their scores by the metric's key."""

    kind: str
    name: str
    sentences: int
    scores: dict[str, float]


@dataclass(frozen=True)
class WordBand:
    """Words that training has seen about as often, and how many of them come out."""

    seen: str
    expected: int
    produced: int
    matched: int
    f1: float | None


@dataclass(frozen=True)
class Phrase:
    """An n-gram, and how often it stands in translations and in references."""

    words: str
    produced: int
    expected: float


@dataclass(frozen=True)
class Phrases:
    """Those furthest from what the references hold."""

    too_often: list[Phrase]
    too_rarely: list[Phrase]


@dataclass(frozen=True)
class Line:
    """One line and its score alone; `line` counts from 1."""

    line: int
    score: float


@dataclass(frozen=True)
class Analysis:
    """What analysis.json holds."""

    slices: list[Slice]
    word_bands: list[WordBand]
    ngrams: Phrases
    lines_by: str
    worst_lines: list[Line]


@dataclass(frozen=True)
class Drop:
    """What a disturbance of the source costs by one metric."""

    metric: str
    undisturbed: float
    disturbed: float
    difference: float
    p: float


@dataclass(frozen=True)
class Disturbed:
    """One way of disturbing the source."""

    name: str
    changed: int
    drops: list[Drop]


@dataclass(frozen=True)
class Robustness:
    """What robustness.json holds."""

    sets: list[Disturbed]
    provenance: dict[str, Any]
    """That of the scores it belongs to."""


@dataclass(frozen=True)
class _Analysed:
    set: str
    analysis: Analysis
    metrics: dict[str, str]
    """Names by key."""
    worst: list[Sample]
    robustness: Robustness | None


def analysis_section(evaluations: Sequence[Evaluation]) -> Section:
    """What is known of where each evaluated set is good and where not."""
    title, missing, sets = "Where it is good", [], []
    for found in evaluations:
        try:
            sets.append(_analysed(found))
        except NmtError as error:
            missing.append(str(error))
    if not sets:
        return absent(title, " ".join(missing) or "No test set is evaluated yet; nmt evaluate does it.")
    return Section(title, "analysis.html.j2", (sets, missing))


def _analysed(found: Evaluation) -> _Analysed:
    if not (found.folder / ANALYSIS).is_file():
        raise DataError(f"{found.name} is not analysed; nmt evaluate does it.")
    analysis = _read(found.folder / ANALYSIS, Analysis)
    robustness = _read(found.folder / ROBUSTNESS, Robustness) if (found.folder / ROBUSTNESS).is_file() else None
    lines = [line for line in analysis.worst_lines if 1 <= line.line <= len(found.sentences)]
    return _Analysed(
        found.name,
        analysis,
        {metric: METRIC_NAMES.get(metric, metric) for part in analysis.slices for metric in part.scores},
        [
            sample(line.line, found.sentences[line.line - 1], f"{analysis.lines_by} {score_text(line.score)}")
            for line in lines[:_WORST]
        ],
        robustness if robustness and robustness.provenance == found.content.get("provenance") else None,
    )


def _read(path: Path, kind: type[_Kind]) -> _Kind:
    try:
        return TypeAdapter(kind).validate_python(files.read_json(path))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise DataError(f"{path}: {where}: is not as nmt evaluate writes it; evaluate again.") from error
