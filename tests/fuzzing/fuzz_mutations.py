"""Seeded mutations of valid files: damaged bytes, and hostile values in the places where a parser expects others."""

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

HOSTILE_TEXT = [
    "\0",
    "\ufeff",
    "\u2028",
    "\u202e",
    "\x85",
    "\U0010ffff",
    "\r",
    "\\UFFFFFFFF",
    "\\ud800",
    "%YAML 1." + "1" * 5000 + "\n---\n",
    "9" * 5000,
    "1e400",
    "-1",
    "18446744073709551616",
    "NaN",
    "-.inf",
    "0x" + "f" * 300,
    "!!python/object:os.system",
    "&a [*a, *a]",
    "../../../etc/passwd",
    "/dev/zero",
    "a" * 300,
    "é" * 2000,
    "\u0301" * 500,
    " " * 3000,
    "{}" * 500,
    "&lt;&amp;&#0;&#xD800;&#99999999999;&x;",
    '<?xml version="1.0" encoding="rot13"?>',
    '<!DOCTYPE a [<!ENTITY b "cccc">]><a>&b;</a>',
    "<!--" * 500,
    "<![CDATA[" * 200,
    "<b>" * 1200,
    "</b>",
    '<a b="' + ">" * 50,
    "0-0 1-1 99999999999999999999-0 -1--1",
    "(a+)+$",
    "[[" * 1000,
    '{"a":' * 1000,
    "- " * 1000,
    "\t",
    "\t\t\t\t",
    "|||",
    ": ",
    "# ",
    "\n",
    "\n\n\n",
    '"',
]
"""Text that upsets parsers."""

HOSTILE_BYTES = [
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\xff\xfe",
    b"\x1f\x8b\x08",
    b"BZh9",
    b"\xfd7zXZ\0",
    b"PK\3\4",
]
HOSTILE_BYTES += [b"\x28\xb5\x2f\xfd", b"\0" * 100, *(text.encode() for text in HOSTILE_TEXT)]

HOSTILE_VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    10**30,
    -(10**400),
    0.5,
    1e308,
    -0.0,
    float("nan"),
    float("inf"),
    "",
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"a": {"b": []}},
    [1] * 1000,
    *(text for text in HOSTILE_TEXT if len(text) <= 3000),
    "\ud800",
]
"""Values for a place in JSON."""


def mutate(content: bytes, random: Random) -> bytes:
    """Return the content with one to four changes. JSON and JSON lines often stay valid."""
    for _ in range(random.choice((1, 1, 2, 4))):
        structured = _mutate_json(content, random) if random.random() < 0.5 else None
        content = structured if structured is not None else _mutate_bytes(content, random)
    return content


def _mutate_bytes(content: bytes, random: Random) -> bytes:
    first, last = sorted(random.choices(range(len(content) + 1), k=2))
    last = min(last, first + random.choice((1, 1, 8, 100)))
    change = random.randrange(7)
    if change == 0 and content:  # flip a bit
        index = random.randrange(len(content))
        return content[:index] + bytes([content[index] ^ 1 << random.randrange(8)]) + content[index + 1 :]
    if change == 1:
        return content[:first] + content[last:]
    if change == 2:
        return content[:first]
    if change == 3:
        return content[:last] + content[first:last] * random.choice((1, 3, 200)) + content[last:]
    if change == 4:
        return content[:first] + random.randbytes(random.choice((1, 4, 50))) + content[last:]
    if change == 5:  # at the beginning of a line
        first = content.rfind(b"\n", 0, first) + 1
    hostile = random.choice(HOSTILE_BYTES)
    return content[:first] + hostile + content[first if random.random() < 0.5 else last :]


def _mutate_json(content: bytes, random: Random) -> bytes | None:
    """Replace, add or remove a value of a JSON file, or of one line of JSON lines; None if it is neither."""
    try:
        return _dump(_with_hostile_value(json.loads(content), random))
    except (ValueError, RecursionError):
        pass
    lines = content.split(b"\n")
    index = random.randrange(len(lines))
    try:
        lines[index] = _dump(_with_hostile_value(json.loads(lines[index]), random))
    except (ValueError, RecursionError):
        return None
    return b"\n".join(lines)


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()


def _with_hostile_value(value: Any, random: Random) -> Any:
    slots: list[Callable[[Any], None]] = list(_slots(value))
    new = random.choice(HOSTILE_VALUES)
    if not slots:
        return new
    random.choice(slots)(new)
    return value


def _slots(value: Any) -> Iterator[Callable[[Any], None]]:
    """Yield functions that each change one place."""
    if isinstance(value, dict):
        yield lambda new: value.update({str(new)[:100]: new})
        for key, inner in value.items():
            yield lambda new, key=key: value.update({key: new})  # type: ignore[misc]
            yield lambda _, key=key: value.pop(key)  # type: ignore[misc]
            yield from _slots(inner)
    elif isinstance(value, list):
        yield value.append
        for index, inner in enumerate(value[:50]):
            yield lambda new, index=index: value.__setitem__(index, new)  # type: ignore[misc]
            yield from _slots(inner)
