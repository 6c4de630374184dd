"""The journal of a run: metrics.jsonl, one JSON object a line, and run.json, its summary."""

import json
import math
import time
from collections.abc import Mapping
from typing import Any

from nmt_cli import files
from nmt_cli.errors import ModelError
from nmt_cli.runs.curves import Curves
from nmt_cli.runs.directory import RunDirectory


class Journal:
    """Appends records to metrics.jsonl; each is one line, flushed at once. Without a run it keeps nothing.

    With `tensorboard`, their numbers become curves, too.
    """

    def __init__(self, run: RunDirectory | None, tensorboard: bool = False) -> None:
        self._path = run.metrics if run else None
        self._curves = Curves(run.tensorboard) if run and tensorboard else None

    def rewind(self, step: int) -> None:
        """Drop records of updates after `step`, and a line that a kill cut short: they will come again."""
        if self._path is None:
            return
        kept = []
        for line in self._path.read_bytes().split(b"\n") if self._path.exists() else ():
            try:
                record = json.loads(line)
                if record["step"] <= step:
                    kept.append(record)
            except (ValueError, KeyError, TypeError):
                continue
        if self._path.exists():
            with files.new_file(self._path) as file:
                file.writelines(map(_line, kept))
        if self._curves:
            self._curves.rewind(step, kept)

    def write(self, kind: str, step: int, epoch: float, target_tokens: int, **values: Any) -> None:
        """Add a record of kind train, valid or event; numbers that are not finite become null."""
        if self._path is None:
            return
        record = {
            "time": round(time.time(), 3),
            "step": step,
            "epoch": round(epoch, 4),
            "target_tokens": target_tokens,
            "kind": kind,
            **{key: _finite(value) for key, value in values.items()},
        }
        with files.disk_errors(self._path), self._path.open("ab") as file:
            file.write(_line(record))
        if self._curves:
            self._curves.add(record)


def read_summary(run: RunDirectory) -> dict[str, Any]:
    """What run.json says."""
    summary = files.read_json(run.summary, ModelError)
    if not isinstance(summary, dict):
        raise ModelError(f"{run.summary}: is not the summary of a run")
    return summary


def update_summary(run: RunDirectory, **changes: Any) -> None:
    """Change some entries of run.json."""
    summary = read_summary(run) if run.summary.is_file() else {}
    files.write_json(run.summary, {**summary, **changes})


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
