"""The past of a run, read from its journal whatever may be wrong with some of its lines."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmt_cli.errors import ModelError

_LARGEST = 1e300
_PLACES = {"time", "step", "epoch", "target_tokens", "kind", "set"}
"""Entries of a record that say where its numbers belong."""


@dataclass(frozen=True)
class Series:
    """One quantity by update, in the journal's order; None where it was no finite number."""

    steps: list[int] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)

    def finite(self) -> list[float]:
        """The values that are numbers."""
        return [value for value in self.values if value is not None]


@dataclass(frozen=True)
class Event:
    """What happened besides updates and validations."""

    step: int
    time: float
    """Seconds since 1970; 0 if unknown."""
    name: str
    details: dict[str, Any]


@dataclass(frozen=True)
class Came:
    """How much of a corpus was learned from, counted each time that it came."""

    pairs: int
    target_tokens: int


@dataclass
class History:
    """All that a journal tells."""

    train: dict[str, Series] = field(default_factory=dict)
    """By quantity."""
    valid: dict[str, dict[str, Series]] = field(default_factory=dict)
    """By validation set, in the recipe's order, then by quantity."""
    events: list[Event] = field(default_factory=list)
    damaged: int = 0
    """Lines that could not be understood."""
    step: int = 0
    """The last update that is told of."""
    epochs: float = 0.0
    target_tokens: int = 0
    mixture: dict[str, Came] = field(default_factory=dict)
    """By corpus, up to the last report."""


def read_journal(path: Path) -> History:
    """Read a journal line by line; ModelError if there is none."""
    history = History()
    try:
        with path.open("rb") as file:
            for line in file:
                if line.strip():
                    history.damaged += not _add(history, line)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: does not exist; nmt train writes it") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    return history


def _add(history: History, line: bytes) -> bool:
    """Add a line; False if it is no record."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    if not isinstance(record, dict) or not _is_count(record.get("step")):
        return False
    step = record["step"]
    match record.get("kind"):
        case "train":
            _add_numbers(history.train, step, record)
            history.mixture = _mixture(record.get("mixture")) or history.mixture
        case "valid":
            _add_numbers(history.valid.setdefault(str(record.get("set", "")), {}), step, record)
        case "event":
            details = {key: value for key, value in record.items() if key not in _PLACES | {"event"}}
            history.events.append(Event(step, _number(record.get("time")) or 0.0, str(record.get("event")), details))
        case _:
            return False
    history.step = max(history.step, step)
    history.epochs = max(history.epochs, _number(record.get("epoch")) or 0.0)
    history.target_tokens = max(history.target_tokens, int(_number(record.get("target_tokens")) or 0))
    return True


def _add_numbers(series: dict[str, Series], step: int, record: dict[str, Any]) -> None:
    for name, value in record.items():
        if name in _PLACES:
            continue
        if isinstance(value, bool | str | list | dict):
            continue  # nothing to draw
        quantity = series.get(name)
        if quantity is None:
            quantity = series[name] = Series()
        quantity.steps.append(step)
        quantity.values.append(_number(value))


def _mixture(value: Any) -> dict[str, Came]:
    """What a record says of each corpus; nothing if it is damaged."""
    try:
        return {str(name): Came(int(came["pairs"]), int(came["target_tokens"])) for name, came in value.items()}
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return {}


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _number(value: Any) -> float | None:
    """A finite number of a size that can be drawn, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _LARGEST and math.isfinite(value) else None
