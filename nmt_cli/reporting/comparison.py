"""Several systems, compared → one self-contained HTML page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from nmt_cli import files
from nmt_cli.reporting.compared import Comparison, LineChange, Ngrams, PairOfSystems, Result, SystemScore
from nmt_cli.reporting.differences import Part, difference
from nmt_cli.reporting.plots.intervals import ScoreInterval, draw_intervals
from nmt_cli.reporting.plots.lines import Chart, Line, draw_lines
from nmt_cli.reporting.run_report.facts import cost_of
from nmt_cli.reporting.run_report.page import RunContents, read_run
from nmt_cli.reporting.run_report.samples import cut
from nmt_cli.reporting.run_report.section import Section
from nmt_cli.reporting.run_report.training import METRIC_NAMES
from nmt_cli.reporting.templates import render_html

_MOST_LINES = 10
"""Of those that gained, and of those that lost."""
_METHODS = {"bootstrap": "paired bootstrap", "randomisation": "approximate randomisation"}


@dataclass(frozen=True)
class _SliceRow:
    """One kind of sentences by one metric."""

    kind: str
    name: str
    sentences: int
    scores: list[float | None]
    """Of each system."""
    best: int | None
    """Which of them is best; None if they are equal."""


@dataclass(frozen=True)
class _Change:
    line: int
    scores: str
    source: str | None
    first: list[Part]
    second: list[Part]
    references: list[str]


@dataclass(frozen=True)
class _Lines:
    first: str
    second: str
    by: str
    gained: list[_Change]
    lost: list[_Change]


@dataclass(frozen=True)
class _Compared:
    """One test set, ready to be shown."""

    names: list[str]
    sentences: int
    method: str
    results: Sequence[Result]
    scores: Sequence[SystemScore]
    plots: list[Markup]
    slices_by: str
    slices: list[_SliceRow]
    lines: list[_Lines]
    ngrams: Mapping[str, Ngrams]


@dataclass(frozen=True)
class _Runs:
    """How the systems were trained."""

    names: list[str]
    charts: list[Markup]
    settings: list[tuple[str, list[str]]]
    """Those in which the recipes differ, with the value of each run."""
    cost: list[tuple[str, list[str]]]


def write_comparison(comparisons: Mapping[str, Comparison], runs: Mapping[str, Path], output: Path) -> None:
    """Write the page, whole or not at all; `runs` names the folders of those systems that are runs of ours."""
    with files.new_file(output) as file:
        file.write(render_comparison(comparisons, runs).encode())


def render_comparison(comparisons: Mapping[str, Comparison], runs: Mapping[str, Path]) -> str:
    """The page as HTML."""
    names = list(dict.fromkeys(score.system for found in comparisons.values() for score in found.systems))
    sections = [Section(name, "compared.html.j2", _compared(found)) for name, found in comparisons.items()]
    contents = {name: read_run(path) for name, path in runs.items()}
    if contents:
        sections.append(Section("Training", "compared_runs.html.j2", _training(contents)))
    page = render_html(
        "run.html.j2",
        title=" · ".join(names),
        kind="Comparison of translation systems",
        languages="",
        figures=[],
        troubles=[f"{name}: {trouble}" for name, run in contents.items() for trouble in run.troubles],
        sections=sections,
    )
    return str(page)


def _compared(found: Comparison) -> _Compared:
    names = list(dict.fromkeys(score.system for score in found.systems))
    metrics = dict.fromkeys(score.metric for score in found.systems)
    by_metric = [[score for score in found.systems if score.metric == metric] for metric in metrics]
    return _Compared(
        names=names,
        sentences=found.sentences,
        method=f"{_METHODS.get(found.test.method, found.test.method)} with {found.test.resamples:,} resamples",
        results=found.results,
        scores=found.systems,
        plots=[plot for scores in by_metric if (plot := _plot(scores))],
        slices_by=by_metric[0][0].name if by_metric else "",
        slices=_slices(found, names, by_metric[0][0]) if by_metric else [],
        lines=[_lines(pair) for pair in found.pairs],
        ngrams=found.ngrams,
    )


def _plot(scores: Sequence[SystemScore]) -> Markup | None:
    """The intervals of all systems by one metric, if there are any."""
    known = [(score, score.interval) for score in scores if score.interval is not None]
    if not known:
        return None
    rows = [ScoreInterval(score.system, score.value, interval.low, interval.high) for score, interval in known]
    direction = "Lower is better." if scores[0].lower_is_better else "Higher is better."
    return draw_intervals(scores[0].name, rows, f"{direction} {scores[0].signature}")


def _slices(found: Comparison, names: Sequence[str], by: SystemScore) -> list[_SliceRow]:
    rows = []
    for part in found.slices:
        known = part.scores.get(by.metric, {})
        scores = [known.get(name) for name in names]
        numbers = [score for score in scores if score is not None]
        best = (min if by.lower_is_better else max)(numbers, default=None)
        is_told_apart = len(set(numbers)) > 1
        place = scores.index(best) if is_told_apart else None
        rows.append(_SliceRow(part.kind, part.name, part.sentences, scores, place))
    return rows


def _lines(pair: PairOfSystems) -> _Lines:
    gained, lost = ([_change(line) for line in lines[:_MOST_LINES]] for lines in (pair.gained, pair.lost))
    return _Lines(pair.first, pair.second, pair.lines_by, gained, lost)


def _change(line: LineChange) -> _Change:
    reference = cut(line.references[0]) if line.references else ""
    first, second = (difference(cut(text), reference).hypothesis for text in (line.first, line.second))
    return _Change(
        line.line,
        f"{line.first_score:.1f} → {line.second_score:.1f}",
        None if line.source is None else cut(line.source),
        first,
        second,
        list(map(cut, line.references)),
    )


def _training(contents: Mapping[str, RunContents]) -> _Runs:
    return _Runs(list(contents), _charts(contents), _settings(contents), _costs(contents))


def _charts(contents: Mapping[str, RunContents]) -> list[Markup]:
    """The curves of all runs together: of training, and of each one's first validation set."""
    histories = {name: run.history for name, run in contents.items() if run.history is not None}
    charts: dict[str, list[Line]] = {}
    for name, history in histories.items():
        if "loss" in history.train:
            loss = history.train["loss"]
            charts.setdefault("Training loss", []).append(Line(name, loss.updates, loss.values))
        deciding = next(iter(history.valid.values()), {})
        for metric, series in deciding.items():
            if metric != "num_not_improved":
                title = f"Validation {METRIC_NAMES.get(metric, metric)}"
                charts.setdefault(title, []).append(Line(name, series.updates, series.values, dotted=True))
    last = max((history.last_update for history in histories.values()), default=0)
    return [draw_lines(replace(Chart(title, lines), last_step=last)) for title, lines in charts.items()]


def _settings(contents: Mapping[str, RunContents]) -> list[tuple[str, list[str]]]:
    flat = [dict(_flat(run.recipe.model_dump(mode="json"))) if run.recipe else {} for run in contents.values()]
    keys = dict.fromkeys(key for settings in flat for key in settings)
    rows = [(key, [str(settings.get(key, "–")) for settings in flat]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Settings by dotted keys."""
    pairs: list[tuple[str, Any]] = []
    for key, value in settings.items():
        pairs += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return pairs


def _costs(contents: Mapping[str, RunContents]) -> list[tuple[str, list[str]]]:
    costs = [cost_of(run.run, run.summary, run.history) for run in contents.values()]
    facts = [{fact.name: fact.value for fact in cost} for cost in costs]
    names = dict.fromkeys(name for known in facts for name in known)
    return [(name, [known.get(name, "–") for known in facts]) for name in names]
