"""The runs of a sweep as a table."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt_cli.recipe.evaluation import ERROR_RATES
from nmt_cli.reporting.rendering import METRIC_NAMES
from nmt_cli.reporting.run_list import ListedRun, fit_columns
from nmt_cli.text.lines import escape_invisible

_LOWER_IS_BETTER = {METRIC_NAMES[metric] for metric in ("loss", *ERROR_RATES)}


@dataclass(frozen=True)
class SweepRow:
    """A combination of settings with its run."""

    path: Path
    settings: Mapping[str, str]
    run: ListedRun | None
    """None if it has not been started."""
    error: str
    """What ended the run, if it did not finish."""

    @property
    def status(self) -> str:
        """Status of the run; "not started" if there is none."""
        return "not started" if self.run is None else self.run.status

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain data."""
        run = {} if self.run is None else self.run.as_json()
        path = os.fsencode(self.path).decode(errors="replace")
        return {"run": path, "settings": dict(self.settings), "status": self.status, **run, "error": self.error or None}


def ranked(rows: Iterable[SweepRow]) -> list[SweepRow]:
    """Return the rows, the best validation score first; those without a score are last."""
    return sorted(rows, key=_rank)


def format_sweep(rows: Sequence[SweepRow], width: int | None = None) -> str:
    """Format the rows as a table.

    Args:
        width: Columns of the terminal; what does not fit is left out, the least important first.
    """
    keys = list(rows[0].settings)
    table = [["run", *keys, "status", "update", "best"], *(_cells(row) for row in rows)]
    return "".join(f"{line}\n" for line in fit_columns(table, ["run", "update", "status"], width))


def _rank(row: SweepRow) -> float:
    if row.run is None or row.run.best is None:
        return math.inf
    return row.run.best if row.run.metric in _LOWER_IS_BETTER else -row.run.best


def _cells(row: SweepRow) -> list[str]:
    run, values = row.run, map(escape_invisible, row.settings.values())
    update = "–" if run is None or run.update is None else f"{run.update:,}"
    best = "–" if run is None or run.best is None else f"{run.metric} {run.best:.2f}".lstrip()
    return [escape_invisible(str(row.path)), *values, escape_invisible(row.status), update, best]
