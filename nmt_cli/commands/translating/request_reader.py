"""Parsing of input lines to requests: plain text, JSON objects, and files of prefixes and factors beside them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from nmt_cli.decoding.requests import Request, in_documents
from nmt_cli.decoding.results import OUTPUT_KEYS
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.text.json_lines import JsonLineError, Member, parse_members
from nmt_cli.text.lines import read_lines, require_utf8
from nmt_cli.text.normalization import is_blank
from nmt_cli.text.terms import check_term, term_list

if TYPE_CHECKING:  # a process that only passes requests on needs no torch
    from nmt_cli.decoding.scoring.scorer import ScoringPair

InputFormat = Literal["text", "jsonl"]
_TEXT_KEYS = ("source", "target")
_INPUT_KEYS = {"source", "prefix", "required", "forbidden", "factors"}

_Line = TypeVar("_Line", Request, "ScoringPair")


@dataclass(frozen=True)
class InputOptions:
    """Options for reading input."""

    format: InputFormat = "text"
    prefixes: Path | None = None
    """A file whose line n is the beginning of translation n."""
    factors: Mapping[str, Path] = field(default_factory=dict)
    """By name, a file whose line n has the values of a factor for the words of line n."""


DEFAULT_INPUT_OPTIONS = InputOptions()


def read_requests(
    lines: Iterable[str], name: str, first_line: int, options: InputOptions, num_context_lines: int = 0
) -> Iterator[Request]:
    """Yield a request for each line.

    A JSON line is an object with a string `source`; `prefix` is a string, `required` and `forbidden` are lists of
    strings, `factors` are strings by name. Other keys are copied to the output as they are written, except for those of
    earlier translations. A blank line is a blank text.

    Args:
        name: Name of the input in messages.
        first_line: 1-based number of the first line.
        num_context_lines: Maximum number of lines before each in its document that become its context.

    Raises:
        DataError: A line is invalid, or a file beside the input is too short. The message has file and line.
    """
    requests: Iterator[Request] = map(Request, lines)
    if options.format == "jsonl":
        requests = (_parse_request(line, f"{name}: line {number}") for number, line in enumerate(lines, first_line))
    if options.factors:
        requests = add_factors(requests, name, first_line, options.factors)
    if options.prefixes is not None:
        requests = _add_prefixes(requests, name, first_line, options.prefixes)
    return in_documents(requests, num_context_lines)


def parse_factor_files(given: Sequence[str]) -> dict[str, Path]:
    """Parse NAME=FILE options to files by name. RecipeError if one is not of that form, or a name is repeated."""
    found = dict[str, Path]()
    for each in given:
        name, sign, path = each.partition("=")
        if not (name and sign and path):
            raise RecipeError(f"--factors {each}: must be NAME=FILE, such as pos=in.pos")
        if name in found:
            raise RecipeError(f"--factors {each}: {name} is given twice")
        found[name] = Path(path)
    return found


def add_factors(lines: Iterable[_Line], name: str, first_line: int, files: Mapping[str, Path]) -> Iterator[_Line]:
    """Yield each line of the input `name` with its factors. DataError if it has some, or if a file is too short."""
    rows = {factor: islice(read_lines(path), first_line - 1, None) for factor, path in files.items()}
    for number, line in enumerate(lines, first_line):
        if line.factors:
            raise DataError(f"{name}: line {number}: has factors, and so does --factors; remove one of them")
        found = dict[str, str]()
        for factor, rest in rows.items():
            values = next(rest, None)
            if values is None:
                remedy = f"line n must have the {factor} of line n"
                raise DataError(f"{files[factor]}: has {number - 1:,} lines, but {name} has more; {remedy}")
            found[factor] = values
        yield replace(line, factors=found)


def parse_factors(value: Any, location: str) -> dict[str, str]:
    """Return the factors of a JSON object. DataError with the location if they are not strings by name."""
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise DataError(f'{location}: factors: must be an object of strings, such as {{"pos": "DET NOUN"}}')
    return {name: require_utf8(each, f"{location}: factors") for name, each in value.items()}


def parse_object(line: str, location: str) -> dict[str, Member]:
    """Parse a line to the members of a JSON object; a blank line has empty texts. DataError with the location."""
    if is_blank(line):
        return dict.fromkeys(_TEXT_KEYS, Member("", '""'))
    try:
        return parse_members(line)
    except JsonLineError as error:
        raise DataError(f'{location}: {error}; write for example {{"source": "…"}}') from error


def parse_string(record: Mapping[str, Member], key: str, location: str) -> str:
    """Return the string of a key. DataError with the location if there is none, or if it cannot be written in UTF-8."""
    value = record[key].value if key in record else None
    if not isinstance(value, str):
        raise DataError(f'{location}: is not an object with a string "{key}"')
    return require_utf8(value, f"{location}: {key}")


def _parse_request(line: str, location: str) -> Request:
    record = parse_object(line, location)
    text = parse_string(record, "source", location)
    prefix = record["prefix"].value if "prefix" in record else ""
    if not isinstance(prefix, str) or "\n" in require_utf8(prefix, f"{location}: prefix"):
        raise DataError(f"{location}: prefix: must be a string without line breaks")
    required, forbidden = (
        _parse_strings(record[key].value, f"{location}: {key}") if key in record else ()
        for key in ("required", "forbidden")
    )
    for term in forbidden:
        check_term(term, f"{location}: forbidden")
    for phrase in required:
        if term_list(forbidden).find(phrase):
            raise DataError(
                f"{location}: {phrase!r} is required, and all or a part of it is forbidden; remove one of them"
            )
    factors = parse_factors(record["factors"].value, location) if "factors" in record else {}
    others = () if is_blank(line) else record.keys() - _INPUT_KEYS - OUTPUT_KEYS
    extra = {require_utf8(key, location): member.raw for key, member in record.items() if key in others}
    return Request(text, prefix, required, forbidden, extra=extra, factors=factors)


def _parse_strings(value: Any, location: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise DataError(f"{location}: must be a list of strings")
    return tuple(require_utf8(each, location) for each in value)


def _add_prefixes(requests: Iterable[Request], name: str, first_line: int, path: Path) -> Iterator[Request]:
    prefixes = islice(read_lines(path), first_line - 1, None)
    for number, request in enumerate(requests, first_line):
        prefix = next(prefixes, None)
        if prefix is None:
            raise DataError(f"{path}: has {number - 1:,} lines, but {name} has more; line n must begin translation n")
        if request.prefix:
            raise DataError(f"{name}: line {number}: has a prefix, and so does {path}; remove one of them")
        yield replace(request, prefix=prefix)
