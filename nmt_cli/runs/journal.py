"""The journal of a run: metrics.jsonl, one JSON object a line, and run.json, its summary."""

import json
import math
import time
from typing import Any

from nmt_cli import files
from nmt_cli.errors import ModelError
from nmt_cli.runs.directory import RunDirectory


class Journal:
    """Appends records to metrics.jsonl; each is one line, flushed at once. Without a run it keeps nothing."""

    def __init__(self, run: RunDirectory | None) -> None:
        self._path = run.metrics if run else None

    def rewind(self, step: int) -> None:
        """Drop records of updates after `step`, and a line that a kill cut short: they will come again."""
        if self._path is None or not self._path.exists():
            return
        kept = []
        for line in self._path.read_bytes().split(b"\n"):
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + b"\n")
            except (ValueError, KeyError, TypeError):
                continue
        with files.new_file(self._path) as file:
            file.writelines(kept)

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
        line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        with files.disk_errors(self._path), self._path.open("ab") as file:
            file.write(line)


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


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
