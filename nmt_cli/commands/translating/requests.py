"""Lines of input → requests: plain text, JSON objects, and a file of prefixes beside either."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path
from typing import Any, Literal, NoReturn

from nmt_cli.decoding.requests import Request, in_documents
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.text.lines import read_lines

InputFormat = Literal["text", "jsonl"]


@dataclass(frozen=True)
class RequestOptions:
    """How input is read."""

    format: InputFormat = "text"
    prefixes: Path | None = None
    """A file whose line n begins the translation of line n."""
    factors: Mapping[str, Path] = field(default_factory=dict)
    """By name, a file whose line n says a factor of each word of line n."""
    before: int = 0
    """How many lines before it in its document each line is given with."""


PLAIN = RequestOptions()


def read_requests(lines: Iterable[str], name: str, first: int, options: RequestOptions) -> Iterator[Request]:
    """A request for each line; the first has the number `first`, and `name` is used in messages.

    A JSON line is an object with a text `source`; `prefix` is a text, `required` and `forbidden` are lists of texts,
    `factors` are texts by name; other keys are kept. DataError names the first line that is wrong.
    """
    requests: Iterator[Request] = map(Request, lines)
    if options.format == "jsonl":
        requests = (_of_json(line, f"{name}: line {number}") for number, line in enumerate(lines, first))
    if options.factors:
        requests = _with_factors(requests, name, first, options.factors)
    if options.prefixes is not None:
        requests = _with_prefixes(requests, name, first, options.prefixes)
    return in_documents(requests, options.before)


def factor_files(given: Sequence[str]) -> dict[str, Path]:
    """Files by the names of factors, from texts as NAME=FILE; RecipeError if one is not of that form."""
    found = dict[str, Path]()
    for each in given:
        name, sign, path = each.partition("=")
        if not (name and sign and path):
            raise RecipeError(f"--factors {each}: must be NAME=FILE, as pos=in.pos")
        if name in found:
            raise RecipeError(f"--factors {each}: {name} is given twice")
        found[name] = Path(path)
    return found


def lines_of_factors(files: Mapping[str, Path], name: str, first: int) -> Iterator[dict[str, str]]:
    """Without end, the factors of each line of the input `name`; DataError if a file has no more lines."""
    lines = {factor: islice(read_lines(path), first - 1, None) for factor, path in files.items()}
    for number in count(first):
        found = dict[str, str]()
        for factor, rest in lines.items():
            values = next(rest, None)
            if values is None:
                what = f"line n has the {factor} of line n"
                raise DataError(f"{files[factor]}: has {number - 1:,} lines, but {name} has more; {what}")
            found[factor] = values
        yield found


def read_factors(value: Any, place: str) -> dict[str, str]:
    """The factors of an object; DataError if they are not texts by name."""
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise DataError(f'{place}: factors: is no object of texts, such as {{"pos": "DET NOUN"}}')
    return dict(value)


def _with_factors(requests: Iterable[Request], name: str, first: int, files: Mapping[str, Path]) -> Iterator[Request]:
    lines = lines_of_factors(files, name, first)
    for number, request in enumerate(requests, first):
        if request.factors:
            raise DataError(f"{name}: line {number}: has factors of its own, beside those of --factors; leave one out")
        yield replace(request, factors=next(lines))


def read_object(line: str, place: str) -> dict[str, Any]:
    """The JSON object of a line, which has a text `source`; DataError, with the place, if it is none."""
    try:
        record = json.loads(line, parse_constant=_not_json)
        json.dumps(record, ensure_ascii=False).encode()  # what it holds must come out again: no half characters
    except (ValueError, RecursionError) as error:
        raise DataError(f'{place}: is not JSON in UTF-8 ({error}); write such as {{"source": "…"}}') from error
    if not isinstance(record, dict) or not isinstance(record.get("source"), str):
        raise DataError(f'{place}: is no object with a text "source"')
    return record


def _of_json(line: str, place: str) -> Request:
    record = read_object(line, place)
    text, prefix = record.pop("source"), record.pop("prefix", "")
    if not isinstance(prefix, str) or "\n" in prefix:
        raise DataError(f"{place}: prefix: is no text on one line")
    required, forbidden = (_texts(record.pop(key, []), f"{place}: {key}") for key in ("required", "forbidden"))
    factors = read_factors(record.pop("factors", {}), place)
    return Request(text, prefix, required, forbidden, extra=record, factors=factors)


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
