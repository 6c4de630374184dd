"""Records of one line each: the cells of a row of a tab-separated table, or the fields of a JSON object."""

import json
import math
import shlex
from collections.abc import Callable
from functools import cache
from operator import itemgetter
from typing import Any

from nmt_cli.console import warn
from nmt_cli.data.reading.examples import SOURCE_COLUMN
from nmt_cli.errors import DataError
from nmt_cli.recipe.corpora import JsonlCorpus, LearnedJsonl, LearnedTsv, TextCorpus, TsvCorpus
from nmt_cli.text.json_lines import describe_error
from nmt_cli.text.lines import not_utf8_error

RecordParser = Callable[[str], tuple[str, ...]]
"""Extracts the values of a line, in the order of `record_fields`."""


class InvalidRecordError(Exception):
    """A line is not a record of its format; the message is the reason."""


def record_fields(corpus: TsvCorpus | JsonlCorpus | TextCorpus) -> dict[str, int | str]:
    """Return the fields of a record by key: the number or name of a column, or the name of a JSON field."""
    if isinstance(corpus, TextCorpus):
        return {} if corpus.field is None else {"target": corpus.field}
    fields: dict[str, int | str | None] = {"source": corpus.source, "target": corpus.target}
    if isinstance(corpus, LearnedTsv | LearnedJsonl):
        fields |= {"alignment": corpus.alignment, "score": corpus.score}
    fields |= {f"{SOURCE_COLUMN}{name}": column for name, column in corpus.factors.items()}
    return {key: column for key, column in fields.items() if column is not None}


def has_header(corpus: TsvCorpus) -> bool:
    """Return whether the first line holds column names, which it does if the recipe names any column."""
    return any(isinstance(column, str) for column in record_fields(corpus).values())


def record_parser(corpus: TsvCorpus | JsonlCorpus | TextCorpus, first_row: bytes | None) -> RecordParser:
    """Return a function that parses the lines of a corpus.

    The function raises InvalidRecordError if a line has too few columns, or more than the first line, or if it is not a
    JSON object with the fields.

    Args:
        first_row: The first line of a table.

    Raises:
        DataError: The header of a table lacks a column, or has it twice.
    """
    if isinstance(corpus, JsonlCorpus | TextCorpus):
        return _json_parser(corpus)
    assert first_row is not None
    return _table_parser(corpus, first_row)


def _table_parser(corpus: TsvCorpus, first_row: bytes) -> RecordParser:
    indices = _column_indices(corpus, first_row if has_header(corpus) else None)
    extract = itemgetter(*indices)
    num_needed, num_columns = max(indices) + 1, first_row.count(b"\t") + 1

    def parse(line: str) -> tuple[str, ...]:
        cells = line.split("\t")
        if len(cells) > num_columns and any(cells[num_columns:]):
            raise InvalidRecordError(f"has {len(cells)} columns, but the first line has {num_columns}")
        try:
            found: tuple[str, ...] = extract(cells)
        except IndexError:
            separated = "; they must be separated by tabs" if len(cells) == 1 else ""
            raise InvalidRecordError(f"has {len(cells)} columns, but {num_needed} are needed{separated}") from None
        if '""' in line and any(map(_is_csv_quoted, found)):
            raise InvalidRecordError(f'has text in quotes with "" for ", as in CSV; {_csv_advice(corpus)}')
        return found

    return parse


def _is_csv_quoted(cell: str) -> bool:
    """Return whether a cell is in quotes and all quotes within it are doubled."""
    inner = cell[1:-1]
    return cell[:1] == cell[-1:] == '"' and '""' in inner and '"' not in inner.replace('""', "")


def _csv_advice(corpus: TsvCorpus) -> str:
    program = "import csv, sys; [print(*(' '.join(cell.split()) for cell in row), sep='\\t') "
    program += "for row in csv.reader(sys.stdin, delimiter='\\t')]"
    file = shlex.quote(str(corpus.file))
    return f'if it is CSV, convert it with `python3 -c "{program}" < {file} > {file}.tsv`'


def check_first_row(corpus: TsvCorpus, languages: tuple[str, str], row: bytes) -> None:
    """Check the first line of a table, and warn if it seems to hold column names, or cells quoted as in CSV.

    Raises:
        DataError: It is a header that lacks a column, or has it twice.
    """
    record_parser(corpus, row)
    cells = [cell.strip() for cell in row.decode(errors="replace").split("\t")]
    columns = [column - 1 for column in (corpus.source, corpus.target) if isinstance(column, int)]
    named = [cells[column].casefold() for column in columns if column < len(cells)]
    if not has_header(corpus) and set(named) <= _COLUMN_NAMES | {code.casefold() for code in languages} and named:
        advice = "if they are column names, give the columns by name in the recipe; then this line is not a pair"
        _warn_once(f"{corpus.file}: line 1: the columns are {' and '.join(map(repr, named))}; {advice}")
    elif len(cells) > 1 and all(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in cells):
        _warn_once(f"{corpus.file}: line 1: all columns are in quotes, which are kept; {_csv_advice(corpus)}")


_warn_once = cache(warn)
_COLUMN_NAMES = {
    *("source", "target", "src", "tgt", "trg", "text", "translation", "sentence", "reference", "input", "output"),
    *("source_text", "target_text", "src_text", "tgt_text", "sentence1", "sentence2", "source sentence"),
    *("target sentence", "arabic", "chinese", "czech", "dutch", "english", "finnish", "french", "german", "greek"),
    *("hindi", "hungarian", "italian", "japanese", "korean", "polish", "portuguese", "russian", "spanish", "turkish"),
}
"""Texts of a first line that are likely to be names of columns."""


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


def _json_parser(corpus: JsonlCorpus | TextCorpus) -> RecordParser:
    paths = [(key, str(name), str(name).split(".")) for key, name in record_fields(corpus).items()]

    def parse(line: str) -> tuple[str, ...]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidRecordError(describe_error(line, error)) from None
        if isinstance(record, list):
            raise InvalidRecordError(describe_error(line, ValueError()))
        return tuple(_field(record, key, name, path, may_have_surrogates="\\u" in line) for key, name, path in paths)

    return parse


def _field(record: Any, key: str, name: str, path: list[str], *, may_have_surrogates: bool) -> str:
    value, rest = record, path
    while rest:
        if not isinstance(value, dict):
            raise InvalidRecordError(f"has no field {name!r}: the value that should contain it is not an object")
        # A key may itself contain dots.
        length = next((end for end in range(len(rest), 0, -1) if ".".join(rest[:end]) in value), 0)
        if not length:
            raise InvalidRecordError(f"has no field {name!r}")
        value, rest = value[".".join(rest[:length])], rest[length:]
    if key == "score" and _is_finite_number(value):
        return repr(value)
    if not isinstance(value, str):
        raise InvalidRecordError(f"{name!r} is not a string" + (" or a finite number" if key == "score" else ""))
    if may_have_surrogates and not _is_encodable(value):
        raise InvalidRecordError(f"{name!r} contains an unpaired surrogate (\\ud800 to \\udfff)")
    return value


def _is_finite_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond the range of floats
        return False


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
