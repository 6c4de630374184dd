"""Differences between two recipes, and those that are allowed when a run is resumed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nmt_cli.errors import RecipeError
from nmt_cli.recipe.schema import Recipe

_CHANGEABLE = (
    "run",
    "data.test",
    "training.batch_tokens",
    "training.divergence",
    "training.limits",
    "training.logging",
    "training.validation",
    "training.checkpoints",
    "training.parallel",
    "evaluation",
)
"""Keys that may change when a run is resumed: location, test sets, limits, reports and checkpoints."""


@dataclass(frozen=True)
class SettingChange:
    """A setting whose value differs between two recipes."""

    key: str
    old: str
    """As JSON, such as "en" or 0.1."""
    new: str
    """As JSON."""


def changed_settings(old: Recipe, new: Recipe) -> list[SettingChange]:
    """Return the settings that differ, in the order of the schema. Sections in lists are keyed from 1."""
    return list(_changes(old.model_dump(mode="json"), new.model_dump(mode="json"), ""))


def check_resumable(old: Recipe, new: Recipe) -> None:
    """Raise RecipeError, with a line per setting, if a run started with `old` cannot be resumed with `new`."""
    refused = [
        f"{change.key}: was {change.old} when the run started, is now {change.new};"
        " restore it, or start a new run with --fresh"
        for change in changed_settings(old, new)
        if not any(change.key == key or change.key.startswith(f"{key}.") for key in _CHANGEABLE)
    ]
    if refused:
        raise RecipeError("\n".join(refused))


def _changes(old: Any, new: Any, key: str) -> Iterator[SettingChange]:
    """Yield the differences within a section. Lists of sections of equal length are compared by index, from 1."""
    if _are_sections(old) and _are_sections(new) and len(old) == len(new):
        old, new = (dict(enumerate(sections, 1)) for sections in (old, new))
    if isinstance(old, dict) or isinstance(new, dict):
        before, after = old or {}, new or {}
        for name in dict.fromkeys([*before, *after]):
            yield from _changes(before.get(name), after.get(name), f"{key}.{name}" if key else str(name))
    elif old != new:
        yield SettingChange(key, *(json.dumps(value, ensure_ascii=False) for value in (old, new)))


def _are_sections(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(inner, dict) for inner in value)
