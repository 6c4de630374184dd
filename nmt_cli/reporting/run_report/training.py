"""How training went: curves from the journal, and what happened on the way."""

import time
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.plots.lines import Best, Chart, Line, draw_lines
from nmt_cli.reporting.run_report.section import Section, absent
from nmt_cli.runs.history import Event, History, Series

METRIC_NAMES = {"loss": "loss", "bleu": "BLEU", "chrf": "chrF"}
_MOST_EVENTS = 40


@dataclass(frozen=True)
class BestPoint:
    """The validation that decided which checkpoint is best."""

    metric: str
    set: str
    step: int
    score: float

    @property
    def name(self) -> str:
        """The metric's name to people."""
        return METRIC_NAMES.get(self.metric, self.metric)


@dataclass(frozen=True)
class _Happening:
    step: int
    when: str
    what: str


@dataclass(frozen=True)
class _Training:
    charts: list[Markup]
    events: list[_Happening]
    more_events: int
    damaged: int
    best: BestPoint | None


def training_section(history: History | None, recipe: Recipe | None, summary: dict[str, Any]) -> Section:
    """Curves of all that the journal tells of."""
    title = "Learning curves"
    if history is None:
        return absent(title, "There is no journal of this run (metrics.jsonl), so there are no curves.")
    if not history.train and not history.valid:
        return absent(title, "The journal tells of no update yet; curves appear with the first report of training.")
    best = best_point(history, recipe)
    drawn = [chart for chart in _charts(history, best) if any(line.steps for line in chart.lines)]
    charts = [draw_lines(replace(chart, last_step=history.last_update)) for chart in drawn]
    events = [_Happening(event.update, _clock(event.time), _told(event)) for event in history.events]
    shown = events if len(events) <= _MOST_EVENTS else [*events[: _MOST_EVENTS // 2], *events[-_MOST_EVENTS // 2 :]]
    content = _Training(charts, shown, len(events) - len(shown), history.damaged, best)
    return Section(title, "training.html.j2", content)


def best_point(history: History, recipe: Recipe | None) -> BestPoint | None:
    """The best validation of the first set, by the recipe's metric; the first of equals."""
    name = next(iter(recipe.data.valid if recipe else history.valid), "")
    metric = recipe.training.validation.metric if recipe else "loss"
    series = history.valid.get(name, {}).get(metric)
    if series is None or not series.finite():
        return None
    sign = -1.0 if metric == "loss" else 1.0
    pairs = [(value, step) for value, step in zip(series.values, series.updates, strict=True) if value is not None]
    score, step = max(pairs, key=lambda pair: (sign * pair[0], -pair[1]))
    return BestPoint(metric, name, step, score)


def _charts(history: History, best: BestPoint | None) -> list[Chart]:
    train = history.train
    losses = [_line("training", train["loss"])] if "loss" in train else []
    charts = [
        Chart("Loss", losses + _valid(history, "loss"), _mark(best, "loss"), note=_LOSS_NOTE if losses else ""),
        *(Chart(METRIC_NAMES.get(name, name), _valid(history, name), _mark(best, name)) for name in _metrics(history)),
    ]
    for name, title in _TRAINING.items():
        if name in train:
            steep = name == "gradient_norm"
            lines = [_line(title.lower(), _scaled(train[name], _SCALES.get(name, 1.0)))]
            charts.append(Chart(title, lines, _mark(best, ""), not steep, may_be_logarithmic=steep))
    return charts


_LOSS_NOTE = "In nats per subword; that of training with dropout and all that the recipe adds to it."
_TRAINING = {
    "learning_rate": "Learning rate",
    "gradient_norm": "Gradient norm",
    "target_tokens_per_second": "Target subwords per second",
    "model_flops_utilization": "Model FLOPs utilization, in per cent",
    "data_wait_fraction": "Time waiting for data, in per cent",
    "memory_bytes": "Memory, in GiB",
}
_SCALES = {"model_flops_utilization": 100.0, "data_wait_fraction": 100.0, "memory_bytes": 2.0**-30}


def _metrics(history: History) -> list[str]:
    """What validations scored, in the journal's order."""
    names = dict.fromkeys(name for series in history.valid.values() for name in series)
    return [name for name in names if name not in ("loss", "num_not_improved")]


def _valid(history: History, metric: str) -> list[Line]:
    several = len(history.valid) > 1 or metric == "loss"
    return [
        Line(f"validation {name}" if several else name, series[metric].updates, series[metric].values, dotted=True)
        for name, series in history.valid.items()
        if metric in series
    ]


def _line(label: str, series: Series) -> Line:
    return Line(label, series.updates, series.values)


def _scaled(series: Series, factor: float) -> Series:
    return Series(series.updates, [None if value is None else factor * value for value in series.values])


def _mark(best: BestPoint | None, metric: str) -> Best | None:
    return None if best is None else Best(best.step, best.score if metric == best.metric else None)


def _clock(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds)) if seconds else ""
    except (ValueError, OverflowError, OSError):
        return ""


def _told(event: Event) -> str:
    details = ", ".join(f"{name} {value}" for name, value in event.details.items() if value not in ("", None))
    return f"{event.name}: {details}" if details else event.name
