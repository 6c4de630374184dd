"""Scores and comparisons as plain text for a terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nmt_cli.evaluation.breakdown.robustness import Robustness, ScoreDrop
from nmt_cli.evaluation.system_comparison import Comparison, SystemScore, format_p_value, format_sentence_count
from nmt_cli.reporting.rendering import format_score

_MAX_LINES = 3
"""Improved and worsened lines of a comparison."""


def format_scores(name: str, content: Mapping[str, Any], robustness: Sequence[Robustness] = ()) -> str:
    """Format the scores of a test set or file, one per line.

    Args:
        content: The fields of scores.json, at least `scores`.
    """
    scores = content["scores"]
    lines = [f"{name}  {score['name']} {_with_interval(score)}  ({score['signature']})" for score in scores]
    for result in robustness:
        named = zip(scores, result.drops, strict=True)
        drops = "  ".join(f"{score['name']} {_format_drop(drop)}" for score, drop in named)
        lines.append(f"{name}  {result.perturbation}: {drops}")
    return _join(lines)


def format_comparison(comparison: Comparison) -> str:
    """Format scores, verdicts, slices and the lines that change most."""
    return _join(_comparison_lines(comparison))


def _join(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _with_interval(score: Mapping[str, Any]) -> str:
    if "confidence_var" not in score:
        return format_score(score["score"])
    return f"{format_score(score['score'])} ± {format_score(score['confidence_var'], score['score'])}"


def _format_drop(drop: ScoreDrop) -> str:
    difference = f"{'+' if drop.difference >= 0 else ''}{format_score(drop.difference, drop.original)}"
    return f"{format_score(drop.perturbed)} ({difference}, {format_p_value(drop.p)})"


def _comparison_lines(comparison: Comparison) -> Iterator[str]:
    yield f"{comparison.test_set}: {format_sentence_count(comparison.sentences)}, {comparison.test.description}"
    yield ""
    names = comparison.systems
    metrics = list(dict.fromkeys((score.metric, score.name) for score in comparison.scores))
    cells = {(score.system, score.metric): _score_cell(score) for score in comparison.scores}
    rows = [[name, *(cells[name, key] for key, _ in metrics)] for name in names]
    yield from _align_right([["", *(name for _, name in metrics)], *rows])
    yield ""
    yield from (result.verdict for result in comparison.results)
    key, metric = metrics[0]
    if comparison.slices:
        yield ""
        header = [f"{metric} by kind of sentence", "sentences", *names]
        slices = [
            [
                f"{part.kind}: {part.name}",
                f"{part.sentences:,}",
                *(format_score(part.scores[key][name]) for name in names),
            ]
            for part in comparison.slices
        ]
        yield from _align_right([header, *slices])
    for pair in comparison.pairs:
        for title, changes in (("improves", pair.improved), ("worsens", pair.worsened)):
            for change in changes[:_MAX_LINES]:
                yield ""
                scores = f"{format_score(change.first_score)} → {format_score(change.second_score)}"
                yield f"{pair.second} {title} line {change.line}: {pair.sort_metric} {scores}"
                texts = [("source", change.source)] if change.source is not None else []
                texts += [("reference", reference) for reference in change.references]
                texts += [(pair.first, change.first), (pair.second, change.second)]
                width = max(len(label) for label, _ in texts)
                yield from (f"  {label:<{width}}  {text}".rstrip() for label, text in texts)


def _score_cell(score: SystemScore) -> str:
    interval = "" if score.interval is None else f" ± {format_score(score.interval.half_width, score.value)}"
    deviation = "" if score.stdev is None else f", over seeds ± {format_score(score.stdev, score.value)}"
    return f"{format_score(score.value)}{interval}{deviation}"


def _align_right(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Align columns to the right, the first to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        aligned = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *aligned])
