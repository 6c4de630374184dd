"""Patterns with which recipes select parameters by name."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from nmt_cli.errors import RecipeError

_MAX_NAMES_SHOWN = 8


def matches(name: str, pattern: str) -> bool:
    """Return whether a name matches a pattern such as `decoder.*`.

    `encoder_norm.weight` also matches as `encoder.norm.weight`, so that `encoder.*` covers a whole encoder.
    """
    return fnmatchcase(name, pattern) or fnmatchcase(re.sub("^(encoder|decoder)_", r"\1.", name), pattern)


def matching_names(names: Sequence[str], pattern: str, key: str) -> list[str]:
    """Return the names that match a pattern.

    Raises:
        RecipeError: No name matches. The message begins with `key`, the recipe key of the pattern.
    """
    found = [name for name in names if matches(name, pattern)]
    if not found:
        examples = ", ".join(names[:: max(1, -(-len(names) // _MAX_NAMES_SHOWN))])
        raise RecipeError(f"{key}: nothing matches {pattern}; some names are {examples or '(none)'}")
    return found
