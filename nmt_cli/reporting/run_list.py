"""Status, scores and size of all runs in a folder."""

import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmt_cli.console import command_line, duration
from nmt_cli.errors import DataError, NmtError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.reporting.evaluation_files import StoredScore, read_scores
from nmt_cli.reporting.rendering import METRIC_NAMES, format_score
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import read_summary
from nmt_cli.runs.live import LiveState, read_live_state
from nmt_cli.text.lines import escape_invisible

_COLUMNS = ["run", "status", "update", "best", "at update", "scores", "size", "changed"]
_OPTIONAL_COLUMNS = ["size", "changed", "at update", "scores"]
_OPTIONAL_FACTS = ["process", "reported", "tokens/s"]
_MAX_DEPTH = 6
"""Nested folders that are searched."""


@dataclass(frozen=True)
class ListedRun:
    """Entry of a run in a list."""

    path: Path
    status: str
    """finished, stopped or running; killed if its process has ended without a status; damaged if run.json is."""
    update: int | None
    best: float | None
    """Best score on the validation set that selects checkpoints."""
    best_update: int | None
    scores: dict[str, StoredScore] = field(default_factory=dict)
    """First score of each evaluated test set."""
    bytes: int = 0
    changed: float = 0.0
    """Last change of a file, in seconds since 1970."""
    metric: str = ""
    """Metric of `best`, such as BLEU; empty if the recipe cannot be read."""
    live: LiveState | None = None
    """Of a run in training."""

    def as_json(self) -> dict[str, Any]:
        """Return the entry as plain data."""
        return {
            "run": os.fsencode(self.path).decode(errors="replace"),
            "status": self.status,
            "update": self.update,
            "best": self.best,
            "best_update": self.best_update,
            "best_metric": self.metric or None,
            "scores": {
                name: {"name": score.name, "score": score.value, "is_stale": score.is_stale}
                for name, score in self.scores.items()
            },
            "bytes": self.bytes,
            "changed": self.changed,
            "live": self.live and self.live.as_json(),
        }


def list_runs(folder: Path) -> list[ListedRun]:
    """List the runs in a folder and its subfolders, most recently changed first.

    Raises:
        DataError: The folder does not exist.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: is not a folder; give the folder that contains the runs")
    return sorted(map(list_run, _find_runs(folder, _MAX_DEPTH)), key=lambda run: (-run.changed, str(run.path)))


def list_run(path: Path) -> ListedRun:
    """Return the entry of one run, even if some of its files are damaged."""
    run = RunDirectory(path)
    size, changed = _measure_folder(path)
    try:
        summary = read_summary(run)
        status = str(summary.get("status", "unknown"))
    except NmtError:
        summary, status = {}, "damaged"
    live = read_live_state(run) if status == "running" else None
    if status == "running" and live is None:
        status = "killed"
    best, best_update = _parse_best(summary.get("best"))
    update = live.update if live and live.update is not None else summary.get("update")
    return ListedRun(
        path,
        status,
        update if isinstance(update, int) else None,
        best,
        best_update,
        _first_scores(run),
        size,
        changed,
        _validation_metric(run),
        live,
    )


def format_run_list(runs: Sequence[ListedRun], width: int | None = None, height: int | None = None) -> str:
    """Format runs as a table, with a second one of the runs in training.

    Args:
        width: Columns of the terminal; what does not fit is left out, the least important first.
        height: Lines of the terminal; the last runs of the first table are left out if they do not fit.
    """
    if not runs:
        return ""
    lines, training = fit_columns([_COLUMNS, *map(_row, runs)], _OPTIONAL_COLUMNS, width), list[str]()
    if live := [(run, run.live) for run in runs if run.live is not None]:
        rows = [[escape_invisible(str(run.path)), *live_facts(state).values()] for run, state in live]
        training = ["", *fit_columns([["in training", *live_facts(live[0][1])], *rows], _OPTIONAL_FACTS, width)]
    if height is not None and len(lines) + len(training) > height:
        num_shown = max(height - len(training) - 1, 1)  # with the header
        lines = [*lines[:num_shown], f"… and {len(lines) - num_shown} more"]
    return "".join(f"{line}\n" for line in [*lines, *training])


def live_facts(live: LiveState) -> dict[str, str]:
    """Return what is known of a run in training, by name."""
    now = time.time()
    return {
        "loss": "–" if live.loss is None else f"{live.loss:.3f}",
        "tokens/s": "–" if live.tokens_per_second is None else f"{live.tokens_per_second:,.0f}",
        "end": "–" if live.end is None else f"in {duration(live.end - now)}",
        "reported": "–" if live.reported is None else f"{format_age(now - live.reported)} ago",
        "process": escape_invisible(f"{live.holder.process_id} on {live.holder.host}"),
    }


def resume_command(run: RunDirectory, summary: dict[str, Any]) -> str:
    """Return the command that started the run, which resumes it."""
    match summary.get("command"):
        case ["nmt", ("train" | "sweep") as command, *arguments] if all(isinstance(each, str) for each in arguments):
            return command_line("nmt", command, *arguments)
    return command_line("nmt", "train", run.recipe)


def fit_columns(rows: Sequence[Sequence[str]], optional: Sequence[str], width: int | None) -> list[str]:
    """Align columns; leave out optional ones, in this order, while the rows do not fit."""
    for name in optional:
        if width is not None and max(map(len, _align(rows))) > width:
            index = rows[0].index(name)
            rows = [[*row[:index], *row[index + 1 :]] for row in rows]
    return _align(rows)


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def describe_score(score: StoredScore) -> str:
    """Format a score, with a remark if an earlier model of the run was scored."""
    return format_score(score.value) + (" (earlier model)" if score.is_stale else "")


def format_age(seconds: float) -> str:
    """Format a duration with one unit: 5 s, 12 min, 3 h, 8 d."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def format_size(count: int) -> str:
    """Format a number of bytes: 512 B, 3.4 MB, 1.2 GB."""
    for unit, amount in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= amount:
            return f"{count / amount:.1f} {unit}"
    return f"{count} B"


def _row(run: ListedRun) -> list[str]:
    of_model = {name: score for name, score in run.scores.items() if "@" not in name}  # not of a checkpoint
    scores = (f"{name} {score.name} {describe_score(score)}" for name, score in of_model.items())
    return [
        escape_invisible(str(run.path)),
        escape_invisible(run.status),
        "–" if run.update is None else f"{run.update:,}",
        "–" if run.best is None else f"{run.metric} {run.best:.2f}".lstrip(),
        "–" if run.best_update is None else f"{run.best_update:,}",
        escape_invisible(", ".join(scores)) or "–",
        format_size(run.bytes),
        f"{format_age(time.time() - run.changed)} ago",
    ]


def _find_runs(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the runs in a folder; runs inside runs are ignored."""
    if RunDirectory(folder).summary.is_file():
        yield folder
        return
    if depth == 0:
        return
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError:
        return  # not readable
    for path in inside:
        yield from _find_runs(path, depth - 1)


def _measure_folder(folder: Path) -> tuple[int, float]:
    """Return the bytes of all files in a folder and the time of the last change. Files that vanish are ignored."""
    total, changed = 0, 0.0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                found = Path(parent, name).stat(follow_symlinks=False)
            except OSError:
                continue
            total, changed = total + found.st_size, max(changed, found.st_mtime)
    return total, min(changed, time.time())


def _parse_best(best: Any) -> tuple[float | None, int | None]:
    match best:
        case [[(int() | float()) as score, int(update)], *_] if math.isfinite(score):
            return float(score), update
    return None, None


def _validation_metric(run: RunDirectory) -> str:
    try:
        metric = load_recipe(run.resolved).training.validation.metric
    except NmtError:
        return ""
    return METRIC_NAMES.get(metric, metric)


def _first_scores(run: RunDirectory) -> dict[str, StoredScore]:
    scores = {}
    for path in sorted(run.evaluation("").glob("*")):
        try:
            found = read_scores(path)
        except NmtError:
            continue
        if found:
            scores[path.name] = found[0]
    return scores
