"""Comparison of several systems as a self-contained HTML page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from nmt_cli import files
from nmt_cli.evaluation.system_comparison import Comparison, SystemScore
from nmt_cli.reporting.plots.curves import Curve, CurveChart, draw_curves
from nmt_cli.reporting.plots.figures import ScoreInterval, draw_intervals
from nmt_cli.reporting.rendering import PageSection, render_html
from nmt_cli.reporting.run_report.environment import cost_of
from nmt_cli.reporting.run_report.learning_curves import METRIC_NAMES
from nmt_cli.reporting.run_report.page import RunContents, read_run

_MAX_LINES = 10
"""Improved lines, and worsened lines, of each pair of systems."""


@dataclass(frozen=True)
class _SliceRow:
    """Scores of one kind of sentences by one metric."""

    kind: str
    name: str
    sentences: int
    scores: list[float | None]
    """By system."""
    best: int | None
    """Index of the best score; None if all are equal."""


@dataclass(frozen=True)
class _TestSetContent:
    """Content of the section of one test set."""

    comparison: Comparison
    plots: list[Markup]
    slice_metric: str
    slices: list[_SliceRow]
    max_lines: int = _MAX_LINES


@dataclass(frozen=True)
class _RunsContent:
    """Content of the section on how the systems were trained."""

    names: list[str]
    charts: list[Markup]
    settings: list[tuple[str, list[str]]]
    """Recipe keys whose values differ, and the value of each run."""
    cost: list[tuple[str, list[str]]]


def write_comparison(comparisons: Mapping[str, Comparison], runs: Mapping[str, Path], output: Path) -> None:
    """Write the page atomically.

    Args:
        comparisons: By test set.
        runs: Run folder by system name, for systems that are runs.
    """
    with files.new_file(output) as file:
        file.write(render_comparison(comparisons, runs).encode())


def render_comparison(comparisons: Mapping[str, Comparison], runs: Mapping[str, Path]) -> str:
    """Render the page as HTML."""
    names = list(dict.fromkeys(name for comparison in comparisons.values() for name in comparison.systems))
    sections = [PageSection(name, "comparison.html.j2", _test_set(each)) for name, each in comparisons.items()]
    contents = {name: read_run(path) for name, path in runs.items()}
    if contents:
        training = _RunsContent(list(contents), _charts(contents), _settings(contents), _costs(contents))
        sections.append(PageSection("Training", "run_comparison.html.j2", training))
    page = render_html(
        "page.html.j2",
        title=" · ".join(names),
        kind="Comparison of translation systems",
        languages="",
        figures=[],
        problems=[f"{name}: {problem}" for name, run in contents.items() for problem in run.problems],
        sections=sections,
    )
    return str(page)


def _test_set(comparison: Comparison) -> _TestSetContent:
    metrics = dict.fromkeys(score.metric for score in comparison.scores)
    by_metric = [[score for score in comparison.scores if score.metric == metric] for metric in metrics]
    return _TestSetContent(
        comparison,
        plots=[plot for scores in by_metric if (plot := _interval_plot(scores))],
        slice_metric=by_metric[0][0].name if by_metric else "",
        slices=_slices(comparison, by_metric[0][0]) if by_metric else [],
    )


def _interval_plot(scores: Sequence[SystemScore]) -> Markup | None:
    """Plot the intervals of all systems by one metric, if there are any."""
    rows = [
        ScoreInterval(score.system, score.value, score.interval.low, score.interval.high)
        for score in scores
        if score.interval is not None
    ]
    if not rows:
        return None
    direction = "Lower is better." if scores[0].lower_is_better else "Higher is better."
    return draw_intervals(scores[0].name, rows, f"{direction} {scores[0].signature}")


def _slices(comparison: Comparison, metric: SystemScore) -> list[_SliceRow]:
    rows = []
    for part in comparison.slices:
        by_system = part.scores.get(metric.metric, {})
        scores = [by_system.get(name) for name in comparison.systems]
        values = [score for score in scores if score is not None]
        best = (min if metric.lower_is_better else max)(values, default=None)
        best_index = scores.index(best) if len(set(values)) > 1 else None
        rows.append(_SliceRow(part.kind, part.name, part.sentences, scores, best_index))
    return rows


def _charts(contents: Mapping[str, RunContents]) -> list[Markup]:
    """Plot the training loss and the validation metrics of the first validation set, with all runs in each chart."""
    histories = {name: run.history for name, run in contents.items() if run.history is not None}
    charts: dict[str, list[Curve]] = {}
    for name, history in histories.items():
        if "loss" in history.train:
            loss = history.train["loss"]
            charts.setdefault("Training loss", []).append(Curve(name, loss.updates, loss.values))
        first_set = next(iter(history.valid.values()), {})
        for metric, series in first_set.items():
            if metric != "num_not_improved":
                title = f"Validation {METRIC_NAMES.get(metric, metric)}"
                charts.setdefault(title, []).append(Curve(name, series.updates, series.values, has_dots=True))
    last = max((history.last_update for history in histories.values()), default=0)
    return [draw_curves(replace(CurveChart(title, curves), last_update=last)) for title, curves in charts.items()]


def _settings(contents: Mapping[str, RunContents]) -> list[tuple[str, list[str]]]:
    flat = [dict(_flatten(run.recipe.model_dump(mode="json"))) if run.recipe else {} for run in contents.values()]
    keys = dict.fromkeys(key for settings in flat for key in settings)
    rows = [(key, [str(settings.get(key, "–")) for settings in flat]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return settings by dotted keys."""
    pairs: list[tuple[str, Any]] = []
    for key, value in settings.items():
        pairs += _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return pairs


def _costs(contents: Mapping[str, RunContents]) -> list[tuple[str, list[str]]]:
    costs = [
        {fact.name: fact.value for fact in cost_of(run.run, run.summary, run.history)} for run in contents.values()
    ]
    names = dict.fromkeys(name for cost in costs for name in cost)
    return [(name, [cost.get(name, "–") for cost in costs]) for name in names]
