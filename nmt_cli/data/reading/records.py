"""Records of one line: the cells of a tab-separated table, or the fields of a JSON object."""

import json
import math
from collections.abc import Callable
from operator import itemgetter
from typing import Any

from nmt_cli.data.reading.examples import SOURCE_COLUMN
from nmt_cli.errors import DataError
from nmt_cli.recipe.corpora import JsonlCorpus, LearnedJsonl, LearnedTsv, TsvCorpus
from nmt_cli.text.lines import not_utf8_error

Parse = Callable[[str], tuple[str, ...]]
"""Extracts the values of a line, in the order of `record_fields`."""


class InvalidRecordError(Exception):
    """A line is not a record of its format; the message is the reason."""


def record_fields(corpus: TsvCorpus | JsonlCorpus) -> dict[str, int | str]:
    """Return the fields of a record by key: the number or name of a column, or the name of a JSON field."""
    fields: dict[str, int | str | None] = {"source": corpus.source, "target": corpus.target}
    if isinstance(corpus, LearnedTsv | LearnedJsonl):
        fields |= {"alignment": corpus.alignment, "score": corpus.score}
    fields |= {f"{SOURCE_COLUMN}{name}": column for name, column in corpus.factors.items()}
    return {key: column for key, column in fields.items() if column is not None}


def has_header(corpus: TsvCorpus) -> bool:
    """Return whether the first line holds column names: if the recipe names any column."""
    return any(isinstance(column, str) for column in record_fields(corpus).values())


def record_parser(corpus: TsvCorpus | JsonlCorpus, header: bytes | None) -> Parse:
    """Return a function that parses the lines of a corpus.

    The function raises InvalidRecordError if a column is missing, or if a line is not a JSON object with the fields.

    Raises:
        DataError: The header of a table lacks a column, or has it twice.
    """
    return _json_parser(corpus) if isinstance(corpus, JsonlCorpus) else _table_parser(corpus, header)


def _table_parser(corpus: TsvCorpus, header: bytes | None) -> Parse:
    indices = _column_indices(corpus, header)
    extract = itemgetter(*indices)
    num_needed = max(indices) + 1

    def parse(line: str) -> tuple[str, ...]:
        cells = line.split("\t")
        try:
            found: tuple[str, ...] = extract(cells)
        except IndexError:
            raise InvalidRecordError(f"has {len(cells)} columns, but {num_needed} are needed") from None
        return found

    return parse


def _column_indices(corpus: TsvCorpus, header: bytes | None) -> list[int]:
    """Return the 0-based index of each column."""
    try:
        names = [] if header is None else [name.strip() for name in header.decode().split("\t")]
    except UnicodeDecodeError as error:
        raise not_utf8_error(str(corpus.file), 1, 0, error) from error
    indices = []
    for key, column in record_fields(corpus).items():
        if isinstance(column, int):
            indices.append(column - 1)
        elif names.count(column) == 1:
            indices.append(names.index(column))
        else:
            found = "two columns are" if column in names else "no column is"
            listed = ", ".join(map(repr, names))
            raise DataError(f"{corpus.file}: line 1: {found} named {column!r} ({key}); the names are {listed}")
    return indices


def _json_parser(corpus: JsonlCorpus) -> Parse:
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
