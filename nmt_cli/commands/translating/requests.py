"""Lines of input → requests: plain text, JSON objects, and a file of prefixes beside either."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NoReturn

from nmt_cli.decoding.requests import Request
from nmt_cli.errors import DataError
from nmt_cli.text.lines import read_lines

InputFormat = Literal["text", "jsonl"]


@dataclass(frozen=True)
class RequestOptions:
    """How input is read."""

    format: InputFormat = "text"
    prefixes: Path | None = None
    """A file whose line n begins the translation of line n."""


PLAIN = RequestOptions()


def read_requests(lines: Iterable[str], name: str, first: int, options: RequestOptions) -> Iterator[Request]:
    """A request for each line; the first has the number `first`, and `name` is used in messages.

    A JSON line is an object with a text `source`; `prefix` is a text, `required` and `forbidden` are lists of texts;
    other keys are kept. DataError names the first line that is wrong.
    """
    requests: Iterator[Request] = map(Request, lines)
    if options.format == "jsonl":
        requests = (_of_json(line, f"{name}: line {number}") for number, line in enumerate(lines, first))
    return requests if options.prefixes is None else _with_prefixes(requests, name, first, options.prefixes)


def _of_json(line: str, place: str) -> Request:
    try:
        record = json.loads(line, parse_constant=_not_json)
        json.dumps(record, ensure_ascii=False).encode()  # what it holds must come out again: no half characters
    except (ValueError, RecursionError) as error:
        raise DataError(f'{place}: is not JSON in UTF-8 ({error}); write such as {{"source": "…"}}') from error
    if not isinstance(record, dict) or not isinstance(record.get("source"), str):
        raise DataError(f'{place}: is no object with a text "source"')
    text, prefix = record.pop("source"), record.pop("prefix", "")
    if not isinstance(prefix, str) or "\n" in prefix:
        raise DataError(f"{place}: prefix: is no text on one line")
    required, forbidden = (_texts(record.pop(key, []), f"{place}: {key}") for key in ("required", "forbidden"))
    return Request(text, prefix, required, forbidden, extra=record)


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _texts(value: Any, place: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise DataError(f"{place}: is no list of texts")
    return tuple(value)


def _with_prefixes(requests: Iterable[Request], name: str, first: int, path: Path) -> Iterator[Request]:
    """DataError if there are fewer prefixes than lines."""
    prefixes = islice(read_lines(path), first - 1, None)
    for number, request in enumerate(requests, first):
        prefix = next(prefixes, None)
        if prefix is None:
            raise DataError(f"{path}: has {number - 1:,} lines, but {name} has more; line n begins translation n")
        if request.prefix:
            raise DataError(f"{name}: line {number}: has a prefix of its own, beside that of {path}; leave one out")
        yield replace(request, prefix=prefix)
