"""JSON objects: which of their fields make a record."""

import json
import math
from collections.abc import Callable
from typing import Any

from nmt_cli.data.reading.records import NoRecordError, columns_of
from nmt_cli.recipe.data import JsonlCorpus


def parser(corpus: JsonlCorpus) -> Callable[[str], tuple[str, ...]]:
    """What takes the fields out of a line, in the order of `columns_of`; NoRecordError says why it cannot."""
    paths = [(key, str(name), str(name).split(".")) for key, name in columns_of(corpus).items()]

    def parse(line: str) -> tuple[str, ...]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise NoRecordError(f"is no JSON ({error})") from None
        return tuple(_field(record, key, name, path, may_be_half="\\u" in line) for key, name, path in paths)

    return parse


def _field(record: Any, key: str, name: str, path: list[str], *, may_be_half: bool) -> str:
    value = record
    for step in path:
        if not isinstance(value, dict):
            raise NoRecordError(f"{name!r} is not to be found, as there is no object around it")
        if step not in value:
            raise NoRecordError(f"has no field {name!r}")
        value = value[step]
    if key == "score" and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return repr(value)
    if not isinstance(value, str):
        raise NoRecordError(f"{name!r} is no text")
    if may_be_half and not _is_writable(value):
        raise NoRecordError(f"{name!r} has half a character (\\ud800 to \\udfff alone)")
    return value


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
