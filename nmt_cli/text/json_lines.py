"""JSON Lines: objects in one line each, whose values can be passed on in the characters in which they were written."""

import json
import re
from typing import Any, NamedTuple, NoReturn

_SPACE = re.compile(r"[ \t\n\r]*")


class JsonLineError(Exception):
    """A line is not a JSON object; the message is the reason."""


class Member(NamedTuple):
    """The value of a key."""

    value: Any
    """Parsed; None for a number."""
    raw: str
    """As it is written in the line."""


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


_DECODER = json.JSONDecoder(
    parse_int=lambda number: None, parse_float=lambda number: None, parse_constant=_refuse_constant
)


def parse_members(line: str) -> dict[str, Member]:
    """Return the members of the object in a line. JsonLineError if the line is anything else."""
    try:
        return _parse_members(line)
    except (ValueError, RecursionError) as error:
        raise JsonLineError(describe_error(line, error)) from error


def describe_error(line: str, error: Exception) -> str:
    """Return why a line is not a JSON object, and how to convert the file if it contains JSON of another form."""
    start = line.strip()
    if start.startswith("["):
        return "is a JSON array, not an object in one line; convert the file, such as with `jq -c '.[]'`"
    if start in ("{", "}"):
        return "is a part of JSON in several lines; convert the file to one object in each line with `jq -c .`"
    return f"is not JSON ({error})"


def _parse_members(line: str) -> dict[str, Member]:
    members = dict[str, Member]()
    position = _expect(line, 0, "{")
    if line.startswith("}", position):
        return _check_end(line, position, members)
    while True:
        if not line.startswith('"', position):
            raise json.JSONDecodeError("expected a key in double quotes", line, position)
        key, position = _DECODER.raw_decode(line, position)
        start = _expect(line, position, ":")
        value, position = _DECODER.raw_decode(line, start)
        members[key] = Member(value, line[start:position])
        position = _skip_space(line, position)
        if line.startswith("}", position):
            return _check_end(line, position, members)
        position = _expect(line, position, ",")


def _expect(line: str, position: int, character: str) -> int:
    """Return the position after a character and the white space around it."""
    position = _skip_space(line, position)
    if not line.startswith(character, position):
        raise json.JSONDecodeError(f"expected {character!r}", line, position)
    return _skip_space(line, position + 1)


def _skip_space(line: str, position: int) -> int:
    found = _SPACE.match(line, position)
    assert found is not None
    return found.end()


def _check_end(line: str, position: int, members: dict[str, Member]) -> dict[str, Member]:
    end = _skip_space(line, position + 1)
    if end < len(line):
        raise json.JSONDecodeError("expected the end of the line", line, end)
    return members
