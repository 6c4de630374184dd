"""The training log (metrics.jsonl, a JSON object per line), and the summary of a run (run.json)."""

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.errors import ModelError
from nmt_cli.recipe.logs import Logging
from nmt_cli.runs.curves import open_trackers
from nmt_cli.runs.directory import RunDirectory

_RECORD_KEYS = frozenset({"time", "update", "epoch", "target_tokens", "kind", "set"})
"""Entries of a record that say what its numbers belong to."""

_NO_TRACKERS = Logging()
_MAX_PLOTTABLE = 1e300
_MAX_JOURNAL_BYTES = 2**32


@dataclass(frozen=True)
class CorpusExposure:
    """How much a model was trained on a corpus; a pair that was seen twice counts twice."""

    pairs: int = 0
    target_tokens: int = 0


class Journal:
    """Appends records to metrics.jsonl, one line each, flushed at once. Without a run it writes nothing.

    The trackers of the settings are given each record as well.
    """

    def __init__(self, run: RunDirectory | None, settings: Logging = _NO_TRACKERS) -> None:
        self._path = run.metrics if run else None
        self._trackers = open_trackers(run, settings) if run else []

    def rewind(self, update: int) -> None:
        """Drop records after `update`, and lines that a kill left incomplete; training will write them again."""
        if self._path is None:
            return
        kept = []
        if self._path.exists():
            for line in files.read_bytes(self._path, ModelError, _MAX_JOURNAL_BYTES).split(b"\n"):
                with suppress(ValueError, KeyError, TypeError, RecursionError):
                    record = json.loads(line)
                    if record["update"] <= update:
                        kept.append(record)
            with files.new_file(self._path) as file:
                file.writelines(map(_line, kept))
        for tracker in self._trackers:
            tracker.rewind(update, kept)

    def write(self, kind: str, update: int, epoch: float, target_tokens: int, **values: Any) -> None:
        """Add a record of kind train, progress, valid or event. Numbers that are not finite become null."""
        if self._path is None:
            return
        record = {
            "time": round(time.time(), 3),
            "update": update,
            "epoch": round(epoch, 4),
            "target_tokens": target_tokens,
            "kind": kind,
            **{key: _finite(value) for key, value in values.items()},
        }
        with files.disk_errors(self._path), files.open_append(self._path) as file:
            file.write(_line(record))
        for tracker in self._trackers:
            tracker.add(record)


def read_summary(run: RunDirectory) -> dict[str, Any]:
    """Return the contents of run.json."""
    summary = files.read_json(run.summary, ModelError)
    if not isinstance(summary, dict):
        raise ModelError(f"{run.summary}: is not the summary of a run")
    return summary


def read_summary_if_present(run: RunDirectory) -> dict[str, Any]:
    """Return the contents of run.json; empty if it is missing or is removed while it is read."""
    try:
        return read_summary(run)
    except ModelError:
        if run.summary.exists():
            raise
        return {}


def read_identity(run: RunDirectory) -> dict[str, str]:
    """Return the hashes of the run's configuration and tokenizer, which its checkpoints repeat; empty if unknown."""
    summary = read_summary_if_present(run)
    return {key: str(summary[key]) for key in ("config", "tokenizer") if key in summary}


def update_summary(run: RunDirectory, **changes: Any) -> None:
    """Change some entries of run.json."""
    files.write_json(run.summary, {**read_summary_if_present(run), **changes})


def describe_published(published: Any) -> str:
    """Return which checkpoints are the model of a run, with validation scores; empty if `published` does not say so.

    Args:
        published: Entry of run.json: `updates`, `metric`, and the scores `average` and `best_checkpoint`, or null.
    """
    match published:
        case {"updates": [_, *_] as updates, "metric": str(metric), "average": average, "best_checkpoint": best}:
            pass
        case _:
            return ""
    if not all(isinstance(update, int) for update in updates):
        return ""
    named, scores = ", ".join(f"{update:,}" for update in updates), (average, best)
    text = f"average of {len(updates)} checkpoints, updates {named}" if updates[1:] else f"checkpoint of update {named}"
    if not all(isinstance(score, int | float) for score in scores):
        return text
    if updates[1:]:
        return f"{text}: {metric} {average:.3f}; the best checkpoint has {best:.3f}"
    return f"{text}: {metric} {best:.3f}; the average of the best checkpoints has {average:.3f}"


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class Series:
    """One quantity by update, in the order of the journal; None where it was not finite."""

    updates: list[int] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)

    def finite(self) -> list[float]:
        """Return the finite values."""
        return [value for value in self.values if value is not None]


@dataclass(frozen=True)
class Event:
    """Something other than an update or a validation."""

    update: int
    time: float
    """Seconds since 1970; 0 if unknown."""
    name: str
    details: dict[str, Any]


@dataclass
class History:
    """The contents of a journal."""

    train: dict[str, Series] = field(default_factory=dict)
    """By quantity."""
    valid: dict[str, dict[str, Series]] = field(default_factory=dict)
    """By validation set, in the recipe's order, then by quantity."""
    events: list[Event] = field(default_factory=list)
    damaged: int = 0
    """Number of lines that could not be parsed."""
    last_update: int = 0
    """The last recorded update."""
    epochs: float = 0.0
    target_tokens: int = 0
    mixture: dict[str, CorpusExposure] = field(default_factory=dict)
    """Training data so far, by corpus."""


def read_journal(path: Path) -> History:
    """Read a journal. Raises ModelError if it does not exist or cannot be read."""
    history = History()
    for record in read_records(path):
        history.damaged += not _add(history, record)
    return history


def read_records(path: Path) -> Iterator[Any]:
    """Yield the records of a journal; None for a damaged line. Raises ModelError as `read_journal` does."""
    try:
        with files.open_regular(path) as file:
            for line in filter(bytes.strip, file):
                record = None
                with suppress(ValueError, RecursionError):
                    record = json.loads(line)
                yield record
    except FileNotFoundError as error:
        raise ModelError(f"{path}: does not exist; it is written by nmt train") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def _add(history: History, record: Any) -> bool:
    """Add a record; return False if it is none."""
    if not isinstance(record, dict) or not _is_count(record.get("update")):
        return False
    update = record["update"]
    match record.get("kind"):
        case "train":
            _add_numbers(history.train, update, record)
            history.mixture = _mixture(record.get("mixture")) or history.mixture
        case "valid":
            _add_numbers(history.valid.setdefault(str(record.get("set", "")), {}), update, record)
        case "event":
            details = {key: value for key, value in record.items() if key not in _RECORD_KEYS | {"event"}}
            history.events.append(Event(update, _number(record.get("time")) or 0.0, str(record.get("event")), details))
        case "progress":  # part of the next record of kind train
            pass
        case _:
            return False
    history.last_update = max(history.last_update, update)
    history.epochs = max(history.epochs, _number(record.get("epoch")) or 0.0)
    history.target_tokens = max(history.target_tokens, int(_number(record.get("target_tokens")) or 0))
    return True


def _add_numbers(series: dict[str, Series], update: int, record: dict[str, Any]) -> None:
    for name, value in record.items():
        if name not in _RECORD_KEYS and not isinstance(value, bool | str | list | dict):
            quantity = series.setdefault(name, Series())
            quantity.updates.append(update)
            quantity.values.append(_number(value))


def _mixture(value: Any) -> dict[str, CorpusExposure]:
    """Parse the mixture of a record; return an empty one if it is damaged."""
    try:
        return {
            str(name): CorpusExposure(int(each["pairs"]), int(each["target_tokens"])) for name, each in value.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return {}


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _number(value: Any) -> float | None:
    """Return a finite number that can be plotted, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _MAX_PLOTTABLE and math.isfinite(value) else None
