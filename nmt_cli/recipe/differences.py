"""What differs between two recipes, and what may differ when a run goes on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nmt_cli.errors import RecipeError
from nmt_cli.recipe.schema import Recipe

MAY_CHANGE = (
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
"""What may change when a run goes on: where it runs, on what it is tested, when it stops, reports and saves."""


@dataclass(frozen=True)
class Change:
    """A setting with other values in two recipes, in words: `"en"`, `0.1`, `nothing`."""

    key: str
    old: str
    new: str


def changes(old: Recipe, new: Recipe) -> list[Change]:
    """The settings that differ, in the order of the schema; names of corpora count as settings."""
    before, after = dict(_settings(old.model_dump(mode="json"))), dict(_settings(new.model_dump(mode="json")))
    return [
        Change(key, _in_words(before.get(key)), _in_words(after.get(key)))
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]


def refuse_changes(old: Recipe, new: Recipe) -> None:
    """RecipeError, a line for each setting, if a run begun with `old` cannot go on with `new`."""
    refused = [
        f"{change.key}: was {change.old} when the run began, now {change.new}; put it back, or start anew with --fresh"
        for change in changes(old, new)
        if not any(change.key == key or change.key.startswith(f"{key}.") for key in MAY_CHANGE)
    ]
    if refused:
        raise RecipeError("\n".join(refused))


def _settings(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values; a list is one value."""
    for name, value in section.items():
        if isinstance(value, dict):
            yield from _settings(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _in_words(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)
