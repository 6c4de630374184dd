"""Page section with the curves and events of a run, from its journal."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.plots.curves import BestMarker, Curve, CurveChart, draw_curves
from nmt_cli.reporting.rendering import METRIC_NAMES, PageSection, empty_section
from nmt_cli.reporting.run_report import RunContents
from nmt_cli.runs.journal import Event, History, Series

_MAX_EVENTS = 40


@dataclass(frozen=True)
class BestValidation:
    """The best score on the validation set that selects checkpoints."""

    metric: str
    set: str
    update: int
    score: float

    @property
    def name(self) -> str:
        """Display name of the metric."""
        return METRIC_NAMES.get(self.metric, self.metric)


def learning_curves_section(contents: RunContents) -> PageSection:
    """Show curves of all quantities in the journal, and its events."""
    title, history = "Learning curves", contents.history
    if history is None:
        return empty_section(title, "The run has no training log (metrics.jsonl), so there are no curves.")
    if not history.train and not history.valid:
        return empty_section(title, "The training log has no updates yet; curves appear after the first report.")
    best = best_validation(history, contents.recipe)
    charts = [chart for chart in _charts(history, best) if any(curve.updates for curve in chart.curves)]
    events = [(event.update, _format_time(event.time), _describe(event)) for event in history.events]
    shown = events if len(events) <= _MAX_EVENTS else [*events[: _MAX_EVENTS // 2], *events[-_MAX_EVENTS // 2 :]]
    content = {
        "charts": [draw_curves(chart, history.last_update) for chart in charts],
        "events": shown,
        "num_hidden_events": len(events) - len(shown),
        "damaged_lines": history.damaged,
        "best": best,
    }
    return PageSection(title, "learning_curves.html.j2", content)


def best_validation(history: History, recipe: Recipe | None) -> BestValidation | None:
    """Return the best validation by the recipe's metric of the first set, or its mean; the first of equal scores.

    The validation before training, of the model that it starts from, does not count.
    """
    names = list(recipe.data.valid if recipe else history.valid)
    if recipe is None or recipe.training.validation.sets == "first":
        names = names[:1]
    metric = recipe.training.validation.metric if recipe else "loss"
    series = [history.valid[name][metric] for name in names if metric in history.valid.get(name, {})]
    sign = -1.0 if recipe is None or recipe.training.validation.lower_is_better else 1.0
    pairs = list(_mean_scores(series)) if len(series) == len(names) > 0 else []
    if not pairs:
        return None
    score, update = max(pairs, key=lambda pair: (sign * pair[0], -pair[1]))
    return BestValidation(metric, " and ".join(names), update, score)


def _mean_scores(series: Sequence[Series]) -> Iterator[tuple[float, int]]:
    """Yield the mean score of some sets at each update at which all have one."""
    for update, *values in zip(series[0].updates, *(each.values for each in series), strict=False):
        known = [value for value in values if value is not None]
        if update and len(known) == len(series):
            yield fmean(known), update


def _charts(history: History, best: BestValidation | None) -> list[CurveChart]:
    train = history.train
    losses = [_curve("training", train["loss"])] if "loss" in train else []
    note = _LOSS_NOTE if losses else ""
    metrics = dict.fromkeys(name for series in history.valid.values() for name in series)  # in the journal's order
    losses += _validation_curves(history, "loss")
    charts = [CurveChart("Loss", losses, _best_marker(best, "loss"), note=note, unit="nats per subword")]
    for name in metrics:
        if name not in ("loss", "num_not_improved"):
            curves = _validation_curves(history, name)
            charts.append(CurveChart(METRIC_NAMES.get(name, name), curves, _best_marker(best, name), has_legend=True))
    for name, (title, factor, unit) in _TRAINING_CHARTS.items():
        if name in train:
            is_norm = name == "gradient_norm"
            curves = [_curve(title[0].lower() + title[1:], train[name], factor)]
            charts.append(CurveChart(title, curves, _best_marker(best, ""), not is_norm, is_norm, unit=unit))
    return charts


_LOSS_NOTE = (
    "Perplexity is e to the power of the loss. Training loss includes dropout and all regularisation of the recipe."
)
_TRAINING_CHARTS = {
    "learning_rate": ("Learning rate", 1.0, ""),
    "gradient_norm": ("Gradient norm", 1.0, ""),
    "target_tokens_per_second": ("Training speed", 1.0, "target subwords per second"),
    "model_flops_utilization": ("Model FLOPs utilization", 100.0, "%"),
    "data_wait_fraction": ("Time waiting for data", 100.0, "%"),
    "memory_bytes": ("Peak memory", 2.0**-30, "GiB"),
}
"""Title of the chart of each quantity in the journal, factor of its values, and unit."""


def _validation_curves(history: History, metric: str) -> list[Curve]:
    needs_prefix = len(history.valid) > 1 or metric == "loss"
    return [
        _curve(f"validation {name}" if needs_prefix else name, series[metric], has_dots=True, color=color)
        for color, (name, series) in enumerate(history.valid.items(), 1)
        if metric in series
    ]


def _curve(label: str, series: Series, factor: float = 1.0, has_dots: bool = False, color: int = 0) -> Curve:
    values = [None if value is None else factor * value for value in series.values]
    return Curve(label, series.updates, values, has_dots, color)


def _best_marker(best: BestValidation | None, metric: str) -> BestMarker | None:
    return None if best is None else BestMarker(best.update, best.score if metric == best.metric else None)


def _format_time(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds)) if seconds else ""
    except (ValueError, OverflowError, OSError):
        return ""


def _describe(event: Event) -> str:
    details = ", ".join(f"{name} {value}" for name, value in event.details.items() if value not in ("", None))
    return f"{event.name}: {details}" if details else event.name
