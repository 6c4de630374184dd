"""Page sections on evaluated test sets: scores, breakdown and samples."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nmt_cli.errors import DataError, NmtError
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.evaluation_files import (
    EvaluatedSentence,
    StoredEvaluation,
    StoredScore,
    evenly_spaced,
    read_analysis,
    read_robustness,
)
from nmt_cli.reporting.rendering import Fact, PageSection, empty_section, format_score, shorten
from nmt_cli.reporting.run_report.learning_curves import METRIC_NAMES
from nmt_cli.reporting.text_diff import DiffSpan, TextDiff, diff_words
from nmt_cli.runs.directory import ANALYSIS

if TYPE_CHECKING:
    from nmt_cli.evaluation.breakdown import Analysis
    from nmt_cli.evaluation.breakdown.robustness import Robustness

_DEFAULT_SAMPLES = 10
_MAX_WORST_LINES = 5


@dataclass(frozen=True)
class _ScoreTable:
    name: str
    scores: list[StoredScore]
    facts: list[Fact]
    warnings: list[str]


@dataclass(frozen=True)
class _DisplayedSample:
    """A sentence and its translation, as shown on a page."""

    line: int
    """1-based."""
    score: str
    """Log-probability, or the score that the line was selected by."""
    source: str
    diff: TextDiff
    """To the most similar reference."""
    other_references: list[str]


@dataclass(frozen=True)
class _SampleList:
    name: str
    total: int
    samples: list[_DisplayedSample]
    languages: tuple[str, str]


@dataclass(frozen=True)
class _Breakdown:
    name: str
    analysis: "Analysis"
    metrics: dict[str, str]
    """Display names by key."""
    worst: list[_DisplayedSample]
    robustness: "list[Robustness]"


def scores_section(evaluations: Sequence[StoredEvaluation]) -> PageSection:
    """Show the scores of each test set, with intervals, signatures and warnings."""
    if not evaluations:
        return empty_section("Scores", "No test set has been evaluated yet; run nmt evaluate.")
    tables = [_ScoreTable(each.name, each.scores, _score_facts(each), _warnings(each)) for each in evaluations]
    return PageSection("Scores", "scores.html.j2", tables)


def breakdown_section(evaluations: Sequence[StoredEvaluation]) -> PageSection:
    """Show the breakdown of the scores of each test set."""
    title, problems, breakdowns = "Breakdown", [], []
    for evaluation in evaluations:
        try:
            breakdowns.append(_breakdown(evaluation))
        except NmtError as error:
            problems.append(str(error))
    if not breakdowns:
        return empty_section(title, " ".join(problems) or "No test set has been evaluated yet; run nmt evaluate.")
    return PageSection(title, "breakdown.html.j2", (breakdowns, problems))


def samples_section(
    evaluations: Sequence[StoredEvaluation], recipe: Recipe | None, lines: Sequence[int]
) -> PageSection:
    """Show some sentences of each test set: the 1-based `lines` if any are given, else evenly spaced ones."""
    count = recipe.evaluation.samples if recipe else _DEFAULT_SAMPLES
    languages = (recipe.data.source_language, recipe.data.target_language) if recipe else ("", "")
    lists = [
        _SampleList(
            evaluation.name,
            len(evaluation.sentences),
            [_sample(line, evaluation.sentences[line - 1]) for line in select_lines(evaluation, count, lines)],
            languages,
        )
        for evaluation in evaluations
        if evaluation.sentences
    ]
    if not lists:
        return empty_section("Samples", "There are no translations yet; run nmt evaluate.")
    return PageSection("Samples", "samples.html.j2", lists)


def select_lines(evaluation: StoredEvaluation, count: int, lines: Sequence[int]) -> list[int]:
    """Return the 1-based numbers of the lines to show: those of `lines` that exist, else `count` evenly spaced ones."""
    total = len(evaluation.sentences)
    requested = [line for line in dict.fromkeys(lines) if 1 <= line <= total]
    return requested or [index + 1 for index in evenly_spaced(total, count)]


def _score_facts(evaluation: StoredEvaluation) -> list[Fact]:
    formats = {
        "exact_match": ("exact match", "{:.1f} %"),
        "sentences": ("sentences", "{:,}"),
        "empty_hypotheses": ("empty translations", "{:,}"),
        "length_ratio": ("length ratio", "{:.3f}"),
    }
    return [
        Fact(name, form.format(evaluation.content[key]))
        for key, (name, form) in formats.items()
        if isinstance(evaluation.content.get(key), int | float)
    ]


def _warnings(evaluation: StoredEvaluation) -> list[str]:
    entries = evaluation.content.get("warnings")
    warnings = [str(warning) for warning in entries] if isinstance(entries, list) else []
    if evaluation.damaged_lines:
        warnings.append(f"unreadable lines in hypotheses.jsonl: {evaluation.damaged_lines:,}")
    return warnings


def _breakdown(evaluation: StoredEvaluation) -> _Breakdown:
    if not (evaluation.folder / ANALYSIS).is_file():
        raise DataError(f"{evaluation.name} has no analysis.json; run nmt evaluate.")
    analysis = read_analysis(evaluation.folder)
    lines = [line for line in analysis.worst_lines if 1 <= line.line <= len(evaluation.sentences)]
    return _Breakdown(
        evaluation.name,
        analysis,
        {metric: METRIC_NAMES.get(metric, metric) for part in analysis.slices for metric in part.scores},
        [
            _sample(
                line.line, evaluation.sentences[line.line - 1], f"{analysis.sort_metric} {format_score(line.score)}"
            )
            for line in lines[:_MAX_WORST_LINES]
        ],
        read_robustness(evaluation.folder, evaluation.content.get("provenance")) or [],
    )


def _sample(line: int, sentence: EvaluatedSentence, score: str = "") -> _DisplayedSample:
    """Compare a translation with the reference that has most words in common with it."""
    words = Counter(sentence.hypothesis.split())
    closest = max(sentence.references or [""], key=lambda reference: (words & Counter(reference.split())).total())
    others = [reference for reference in sentence.references if reference != closest]
    diff = diff_words(shorten(sentence.hypothesis), shorten(closest))
    if not sentence.hypothesis.strip():
        diff = TextDiff([DiffSpan("(empty)", True)], diff.reference)
    score = score or f"log-probability {sentence.log_probability:.2f}"
    return _DisplayedSample(line, score, shorten(sentence.source), diff, list(map(shorten, others)))
