"""The history of a run, read from its journal. Damaged lines are counted and skipped."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmt_cli.errors import ModelError
from nmt_cli.runs.journal import RECORD_KEYS, CorpusExposure

_MAX_PLOTTABLE = 1e300


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
    try:
        with path.open("rb") as file:
            for line in file:
                if line.strip():
                    history.damaged += not _add(history, line)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: does not exist; it is written by nmt train") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    return history


def _add(history: History, line: bytes) -> bool:
    """Add a line; return False if it is not a record."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
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
            details = {key: value for key, value in record.items() if key not in RECORD_KEYS | {"event"}}
            history.events.append(Event(update, _number(record.get("time")) or 0.0, str(record.get("event")), details))
        case _:
            return False
    history.last_update = max(history.last_update, update)
    history.epochs = max(history.epochs, _number(record.get("epoch")) or 0.0)
    history.target_tokens = max(history.target_tokens, int(_number(record.get("target_tokens")) or 0))
    return True


def _add_numbers(series: dict[str, Series], update: int, record: dict[str, Any]) -> None:
    for name, value in record.items():
        if name in RECORD_KEYS:
            continue
        if isinstance(value, bool | str | list | dict):
            continue  # not a number
        quantity = series.get(name)
        if quantity is None:
            quantity = series[name] = Series()
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
