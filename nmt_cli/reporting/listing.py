"""All runs in a folder, each in a line."""

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.errors import NmtError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.reporting.run_report.evaluations import ReadScore, read_scores
from nmt_cli.reporting.run_report.training import METRIC_NAMES
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import read_summary

_DEEPEST = 6
"""Folders in folders that are looked into."""


@dataclass(frozen=True)
class ListedRun:
    """What a list says of a run."""

    path: Path
    status: str
    """finished, stopped, running; killed if it says it runs but no process does; damaged if its summary is."""
    step: int | None
    best: float | None
    """Of the validation that decides."""
    best_step: int | None
    scores: dict[str, ReadScore] = field(default_factory=dict)
    """The first score of each evaluated set."""
    bytes: int = 0
    changed: float = 0.0
    """When a file of it last changed, in seconds since 1970."""
    metric: str = ""
    """What the best was judged by, such as BLEU; empty if the recipe cannot be read."""


def list_runs(folder: Path) -> list[ListedRun]:
    """The runs in a folder, those inside other folders included, but not in runs; what changed last comes first."""
    return sorted((listed(path) for path in _runs(folder, _DEEPEST)), key=lambda run: (-run.changed, str(run.path)))


def listed(path: Path) -> ListedRun:
    """What there is to say of one run, whatever of it is damaged."""
    run = RunDirectory(path)
    size, changed = _measure(path)
    try:
        summary = read_summary(run)
    except NmtError:
        return ListedRun(path, "damaged", None, None, None, _scores(run), size, changed)
    best, best_step = _best(summary.get("best"))
    step = summary.get("update")
    return ListedRun(
        path,
        status(run, summary),
        step if isinstance(step, int) else None,
        best,
        best_step,
        _scores(run),
        size,
        changed,
        _metric(run),
    )


def status(run: RunDirectory, summary: dict[str, Any]) -> str:
    """What the summary says, unless it says that a process trains here which is no more."""
    told = str(summary.get("status", "unknown"))
    return "killed" if told == "running" and files.is_stale_lock(run.lock) else told


def age(seconds: float) -> str:
    """A time span as people say it: 5 s, 12 min, 3 h, 8 d."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def size(count: int) -> str:
    """Bytes as people say them: 512 B, 3.4 MB, 1.2 GB."""
    for unit, amount in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= amount:
            return f"{count / amount:.1f} {unit}"
    return f"{count} B"


def _runs(folder: Path, depth: int) -> Iterator[Path]:
    if RunDirectory(folder).summary.is_file():
        yield folder
        return
    if depth == 0:
        return
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError:
        return  # not ours to read
    for path in inside:
        yield from _runs(path, depth - 1)


def _measure(folder: Path) -> tuple[int, float]:
    """Bytes of all files in a folder, and when one last changed; files that vanish meanwhile do not count."""
    total, changed = 0, 0.0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found = Path(place, name).stat(follow_symlinks=False)
            except OSError:
                continue
            total, changed = total + found.st_size, max(changed, found.st_mtime)
    return total, min(changed, time.time())


def _best(best: Any) -> tuple[float | None, int | None]:
    match best:
        case [[(int() | float()) as score, int(step)], *_] if math.isfinite(score):
            return float(score), step
    return None, None


def _metric(run: RunDirectory) -> str:
    try:
        metric = load_recipe(run.resolved).training.validation.metric
    except NmtError:
        return ""
    return METRIC_NAMES.get(metric, metric)


def _scores(run: RunDirectory) -> dict[str, ReadScore]:
    folder = run.evaluation("any").parent
    scores = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            found = read_scores(path)
        except NmtError:
            continue
        if found:
            scores[path.name] = found[0]
    return scores
