"""Page sections on evaluated test sets: scores, breakdown and samples."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from nmt_cli.data.arrays import evenly_spaced_indices
from nmt_cli.errors import DataError, NmtError
from nmt_cli.reporting.evaluation_files import (
    EvaluatedSentence,
    StoredEvaluation,
    read_added_toxicity,
    read_analysis,
    read_robustness,
)
from nmt_cli.reporting.rendering import METRIC_NAMES, Fact, PageSection, empty_section, format_score, shorten
from nmt_cli.reporting.run_report import RunContents
from nmt_cli.reporting.text_diff import DiffSpan, TextDiff, diff_words
from nmt_cli.runs.directory import ANALYSIS
from nmt_cli.text.word_boundaries import words

_DEFAULT_SAMPLES = 10
_MAX_WORST_LINES = 5


def scores_section(evaluations: Sequence[StoredEvaluation]) -> PageSection:
    """Show the scores of each test set, with intervals, signatures and warnings."""
    if not evaluations:
        return empty_section("Scores", "No test set has been evaluated yet; run nmt evaluate.")
    tables = [(each, _score_facts(each), _warnings(each)) for each in evaluations]
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


def samples_section(contents: RunContents, lines: Sequence[int]) -> PageSection:
    """Show some sentences of each test set: the 1-based `lines` if any are given, else evenly spaced ones."""
    recipe = contents.recipe
    count = recipe.evaluation.samples if recipe else _DEFAULT_SAMPLES
    languages = (recipe.data.source_language, recipe.data.target_language) if recipe else ("", "")
    samples = [
        (each, [_sample(line, each.sentences[line - 1]) for line in select_lines(each, count, lines)])
        for each in contents.evaluations
        if each.sentences
    ]
    if not samples:
        return empty_section("Samples", "There are no translations yet; run nmt evaluate.")
    return PageSection("Samples", "samples.html.j2", (samples, languages))


def select_lines(evaluation: StoredEvaluation, count: int, lines: Sequence[int]) -> list[int]:
    """Return the 1-based numbers of the lines to show: those of `lines` that exist, else `count` evenly spaced ones."""
    total = len(evaluation.sentences)
    requested = [line for line in dict.fromkeys(lines) if 1 <= line <= total]
    return requested or [index + 1 for index in evenly_spaced_indices(total, count)]


def _score_facts(evaluation: StoredEvaluation) -> list[Fact]:
    formats = {
        "exact_match": ("exact match", "{:.1f} %"),
        "sentences": ("sentences", "{:,}"),
        "empty_hypotheses": ("empty translations", "{:,}"),
        "length_ratio": ("length ratio", "{:.3f}"),
    }
    found = [
        Fact(name, form.format(evaluation.content[key]))
        for key, (name, form) in formats.items()
        if isinstance(evaluation.content.get(key), int | float)
    ]
    return found + _toxicity_facts(evaluation)


def _toxicity_facts(evaluation: StoredEvaluation) -> list[Fact]:
    name = "translations with added toxicity"
    try:
        toxicity = read_added_toxicity(evaluation.folder, evaluation.content.get("provenance"))
    except DataError as error:
        return [Fact(name, "unknown", str(error))]
    if toxicity is None:
        return []
    lists = ", ".join(f"{option} {digest[:8]}" for option, digest in toxicity.lists.items())
    return [Fact(name, f"{toxicity.added:,}", f"SHA-256 of the lists: {lists}")]


def _warnings(evaluation: StoredEvaluation) -> list[str]:
    entries = evaluation.content.get("warnings")
    warnings = [str(warning) for warning in entries] if isinstance(entries, list) else []
    if evaluation.is_stale:
        warnings.append("these are the scores of an earlier model of this run; run nmt evaluate again")
    if evaluation.damaged_lines:
        warnings.append(f"unreadable lines in hypotheses.jsonl: {evaluation.damaged_lines:,}")
    return warnings


def _breakdown(evaluation: StoredEvaluation) -> dict[str, Any]:
    if not (evaluation.folder / ANALYSIS).is_file():
        raise DataError(f"{evaluation.name} has no analysis.json; run nmt evaluate.")
    analysis = read_analysis(evaluation.folder)
    lines = [each for each in analysis.worst_lines if 1 <= each.line <= len(evaluation.sentences)]
    scores = [f"{analysis.sort_metric} {format_score(each.score)}" for each in lines]
    samples = [
        _sample(each.line, evaluation.sentences[each.line - 1], score)
        for each, score in zip(lines, scores, strict=True)
    ]
    return {
        "name": evaluation.name,
        "analysis": analysis,
        "metrics": {metric: METRIC_NAMES.get(metric, metric) for part in analysis.slices for metric in part.scores},
        "worst": samples[:_MAX_WORST_LINES],
        "robustness": read_robustness(evaluation.folder, evaluation.content.get("provenance")) or [],
    }


def _sample(line: int, sentence: EvaluatedSentence, score: str = "") -> dict[str, Any]:
    """Compare a translation with the reference that has most words in common with it.

    Args:
        line: 1-based.
        score: Score that the line was selected by; its log-probability is shown by default.
    """
    ours = Counter(words(sentence.hypothesis))
    closest = max(sentence.references or [""], key=lambda reference: (ours & Counter(words(reference))).total())
    others = [reference for reference in sentence.references if reference != closest]
    diff = diff_words(shorten(sentence.hypothesis), shorten(closest))
    if not sentence.hypothesis.strip():
        diff = TextDiff([DiffSpan("(empty)", True)], diff.reference)
    return {
        "line": line,
        "score": score or f"log-probability {sentence.log_probability:.2f}",
        "source": shorten(sentence.source),
        "diff": diff,
        "other_references": list(map(shorten, others)),
    }
