"""The latest figures of a run in training, as seen from another process."""

import json
import os
from dataclasses import asdict, dataclass
from typing import Any

from nmt_cli.locks import LockHolder, lock_holder
from nmt_cli.runs.directory import RunDirectory

_TAIL_BYTES = 200_000


@dataclass(frozen=True)
class LiveState:
    """Figures of the last report; None where there is none yet."""

    holder: LockHolder
    update: int | None = None
    loss: float | None = None
    """Mean per target token in nats."""
    tokens_per_second: float | None = None
    end: float | None = None
    """Estimated end in seconds since 1970."""
    reported: float | None = None
    """Time of the report in seconds since 1970."""

    def as_json(self) -> dict[str, Any]:
        """Return the state as plain data."""
        values = asdict(self)
        holder = values.pop("holder")
        return {"pid": holder["process_id"], "host": holder["host"], **values}


def read_live_state(run: RunDirectory) -> LiveState | None:
    """Return the state of a run in training; None if no process trains in it."""
    holder = lock_holder(run.lock)
    if holder is None:
        return None
    for line in reversed(_last_lines(run)):
        try:
            record = json.loads(line)
            kind, time, update = record["kind"], float(record["time"]), int(record["update"])
            if kind in ("train", "progress"):
                left, loss, speed = map(record.get, ("seconds_left", "loss", "target_tokens_per_second"))
                end = None if left is None else time + float(left)
                return LiveState(
                    holder, update, _optional_float(loss), _optional_float(speed), _optional_float(end), time
                )
            if kind == "event" and record["event"] in ("started", "resumed"):
                return LiveState(holder, update, reported=time)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            continue
    return LiveState(holder)


def _optional_float(value: Any) -> float | None:
    return None if value is None or isinstance(value, bool) else float(value)


def _last_lines(run: RunDirectory) -> list[bytes]:
    """Return the last lines of the training log; the first may be incomplete."""
    try:
        descriptor = os.open(run.metrics, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            file.seek(max(0, os.fstat(descriptor).st_size - _TAIL_BYTES))
            return file.read(_TAIL_BYTES).split(b"\n")
    except OSError:
        return []
