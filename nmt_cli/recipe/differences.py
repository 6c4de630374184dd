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
    """The settings that differ, in the order of the schema; names of corpora and places in lists count, too."""
    return list(_changes(old.model_dump(mode="json"), new.model_dump(mode="json"), ""))


def refuse_changes(old: Recipe, new: Recipe) -> None:
    """RecipeError, a line for each setting, if a run begun with `old` cannot go on with `new`."""
    refused = [
        f"{change.key}: was {change.old} when the run began, now {change.new}; put it back, or start anew with --fresh"
        for change in changes(old, new)
        if not any(change.key == key or change.key.startswith(f"{key}.") for key in MAY_CHANGE)
    ]
    if refused:
        raise RecipeError("\n".join(refused))


def _changes(old: Any, new: Any, key: str) -> Iterator[Change]:
    """The settings of one section that differ; sections of equally long lists are compared one by one, from 1."""
    if _are_sections(old) and _are_sections(new) and len(old) == len(new):
        old, new = (dict(enumerate(sections, 1)) for sections in (old, new))
    if isinstance(old, dict) or isinstance(new, dict):
        before, after = old or {}, new or {}
        for name in dict.fromkeys([*before, *after]):
            yield from _changes(before.get(name), after.get(name), f"{key}.{name}" if key else str(name))
    elif old != new:
        yield Change(key, _in_words(old), _in_words(new))


def _are_sections(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(inner, dict) for inner in value)


def _in_words(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)
