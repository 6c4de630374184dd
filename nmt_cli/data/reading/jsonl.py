"""JSON lines: the fields of an object that make up a record."""

import json
import math
from collections.abc import Callable
from typing import Any

from nmt_cli.data.reading.examples import InvalidRecordError, record_fields
from nmt_cli.recipe.corpora import JsonlCorpus


def parser(corpus: JsonlCorpus) -> Callable[[str], tuple[str, ...]]:
    """Return a function that extracts the fields of a line, in the order of `record_fields`.

    The function raises InvalidRecordError if the line is not a JSON object with these fields.
    """
    paths = [(key, str(name), str(name).split(".")) for key, name in record_fields(corpus).items()]

    def parse(line: str) -> tuple[str, ...]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidRecordError(f"is not JSON ({error})") from None
        return tuple(_field(record, key, name, path, may_be_half="\\u" in line) for key, name, path in paths)

    return parse


def _field(record: Any, key: str, name: str, path: list[str], *, may_be_half: bool) -> str:
    value = record
    for step in path:
        if not isinstance(value, dict):
            raise InvalidRecordError(f"has no field {name!r}: the value that should contain it is not an object")
        if step not in value:
            raise InvalidRecordError(f"has no field {name!r}")
        value = value[step]
    if key == "score" and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return repr(value)
    if not isinstance(value, str):
        raise InvalidRecordError(f"{name!r} is not a string")
    if may_be_half and not _is_encodable(value):
        raise InvalidRecordError(f"{name!r} contains an unpaired surrogate (\\ud800 to \\udfff)")
    return value


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
