"""Comparison of several systems as a self-contained HTML page."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from nmt_cli import files
from nmt_cli.evaluation.system_comparison import Comparison, SliceComparison, SystemScore
from nmt_cli.reporting.plots.curves import Curve, CurveChart, draw_curves
from nmt_cli.reporting.plots.figures import draw_intervals
from nmt_cli.reporting.rendering import METRIC_NAMES, PageSection, render_html
from nmt_cli.reporting.run_report import RunContents, read_run
from nmt_cli.reporting.run_report.environment import cost_of

_MAX_LINES = 10
"""Improved lines, and worsened lines, of each pair of systems."""


def write_comparison(comparisons: Mapping[str, Comparison], runs: Mapping[str, Path], output: Path) -> None:
    """Write the page atomically.

    Args:
        comparisons: By test set.
        runs: Run folder by system name, for systems that are runs.
    """
    with files.output_file(output) as file:
        file.write(render_comparison(comparisons, runs).encode())


def render_comparison(comparisons: Mapping[str, Comparison], runs: Mapping[str, Path]) -> str:
    """Render the page as HTML."""
    names = list(dict.fromkeys(name for comparison in comparisons.values() for name in comparison.systems))
    colors = {name: index for index, name in enumerate(dict.fromkeys([*names, *runs]))}
    sections = [PageSection(name, "comparison.html.j2", _test_set(each, colors)) for name, each in comparisons.items()]
    contents = {name: read_run(path) for name, path in runs.items()}
    if contents:
        tables = {"Cost": _costs(contents), "Different settings": _settings(contents)}
        training = {"names": list(contents), "charts": _charts(contents, colors), "tables": tables}
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


def _test_set(comparison: Comparison, colors: Mapping[str, int]) -> dict[str, Any]:
    metrics = dict.fromkeys(score.metric for score in comparison.scores)
    by_metric = [[score for score in comparison.scores if score.metric == metric] for metric in metrics]
    intervals = [[score for score in scores if score.interval] for scores in by_metric]
    return {
        "comparison": comparison,
        "plots": [draw_intervals(scores, colors) for scores in intervals if scores],
        "slice_metric": by_metric[0][0].name if by_metric else "",
        "slices": _slices(comparison, by_metric[0][0]) if by_metric else [],
        "max_lines": _MAX_LINES,
    }


def _slices(
    comparison: Comparison, metric: SystemScore
) -> Iterator[tuple[SliceComparison, list[float | None], int | None]]:
    """Yield each kind of sentences with its scores by system, and the index of the best; None if all are equal."""
    for part in comparison.slices:
        by_system = part.scores.get(metric.metric, {})
        scores = [by_system.get(name) for name in comparison.systems]
        values = [score for score in scores if score is not None]
        best = (min if metric.lower_is_better else max)(values, default=None)
        yield part, scores, scores.index(best) if len(set(values)) > 1 else None


def _charts(contents: Mapping[str, RunContents], colors: Mapping[str, int]) -> list[Markup]:
    """Plot the training loss and the validation metrics of the first validation set, with all runs in each chart."""
    histories = {name: run.history for name, run in contents.items() if run.history is not None}
    charts: dict[str, list[Curve]] = {}
    for name, history in histories.items():
        if "loss" in history.train:
            loss = history.train["loss"]
            charts.setdefault("Training loss", []).append(Curve(name, loss.updates, loss.values, color=colors[name]))
        first_set = next(iter(history.valid.values()), {})
        for metric, series in first_set.items():
            if metric != "num_not_improved":
                title = f"Validation {METRIC_NAMES.get(metric, metric)}"
                curve = Curve(name, series.updates, series.values, has_dots=True, color=colors[name])
                charts.setdefault(title, []).append(curve)
    last = max((history.last_update for history in histories.values()), default=0)
    return [draw_curves(CurveChart(title, curves, has_legend=True), last) for title, curves in charts.items()]


def _settings(contents: Mapping[str, RunContents]) -> list[tuple[str, list[str]]]:
    """Return the settings that differ between runs."""
    flat = [dict(_flatten(run.recipe.model_dump(mode="json"))) if run.recipe else {} for run in contents.values()]
    return [(key, values) for key, values in _rows(flat) if len(set(values)) > 1]


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return settings by dotted keys."""
    pairs: list[tuple[str, Any]] = []
    for key, value in settings.items():
        pairs += _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return pairs


def _costs(contents: Mapping[str, RunContents]) -> list[tuple[str, list[str]]]:
    costs = [{fact.name: fact.value for fact in cost_of(run)} for run in contents.values()]
    return _rows(costs)


def _rows(columns: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Return a row for each key, with its value in each column."""
    keys = dict.fromkeys(key for column in columns for key in column)
    return [(key, [str(column.get(key, "–")) for column in columns]) for key in keys]
