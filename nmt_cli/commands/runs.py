"""nmt runs: a folder → the list of its runs."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nmt_cli import console, files
from nmt_cli.commands.results import stdout
from nmt_cli.errors import DataError
from nmt_cli.reporting.listing import ListedRun, age, list_runs, size
from nmt_cli.reporting.markdown import visible
from nmt_cli.reporting.templates import score_text

_COLUMNS = ["run", "status", "update", "best", "at update", "scores", "size", "changed"]


def runs(folder: Path, as_json: bool = False) -> None:
    """List the runs of a folder on stdout, as a table or as JSON."""
    if not folder.is_dir():
        raise DataError(f"{folder}: is no folder; name the one that holds the runs")
    found = list_runs(folder)
    if not found:
        console.info(f"{folder}: holds no runs; nmt train makes them")
    if as_json:
        result = files.json_bytes([_as_json(run) for run in found])
    else:
        result = _table([_COLUMNS, *map(_row, found)]) if found else b""
    with stdout() as stream:
        stream.write(result)


def _as_json(run: ListedRun) -> dict[str, Any]:
    return {
        "run": os.fsencode(run.path).decode(errors="replace"),
        "status": run.status,
        "update": run.step,
        "best": run.best,
        "best_update": run.best_step,
        "best_metric": run.metric or None,
        "scores": {name: {"name": score.name, "score": score.value} for name, score in run.scores.items()},
        "bytes": run.bytes,
        "changed": run.changed,
    }


def _row(run: ListedRun) -> list[str]:
    of_model = {name: score for name, score in run.scores.items() if "@" not in name}  # and not of a checkpoint
    scores = (f"{name} {score.name} {score_text(score.value)}" for name, score in of_model.items())
    return [
        visible(str(run.path)),
        visible(run.status),
        "–" if run.step is None else f"{run.step:,}",
        "–" if run.best is None else f"{run.metric} {run.best:.2f}".lstrip(),
        "–" if run.best_step is None else f"{run.best_step:,}",
        visible(", ".join(scores)) or "–",
        size(run.bytes),
        f"{age(time.time() - run.changed)} ago",
    ]


def _table(rows: Sequence[Sequence[str]]) -> bytes:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()
