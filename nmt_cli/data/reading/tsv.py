"""Tab-separated tables: the columns of a line that make up a record."""

from collections.abc import Callable
from operator import itemgetter

from nmt_cli.data.reading.examples import InvalidRecordError, record_fields
from nmt_cli.errors import DataError
from nmt_cli.recipe.corpora import TsvCorpus
from nmt_cli.text.lines import not_utf8_error


def has_header(corpus: TsvCorpus) -> bool:
    """Return whether the first line holds column names: if the recipe names any column."""
    return any(isinstance(column, str) for column in record_fields(corpus).values())


def parser(corpus: TsvCorpus, header: bytes | None) -> Callable[[str], tuple[str, ...]]:
    """Return a function that extracts the cells of a line, in the order of `record_fields`.

    The function raises InvalidRecordError if a column is missing.

    Raises:
        DataError: The header lacks a column, or has it twice.
    """
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
    names = _column_names(corpus, header) if header is not None else []
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


def _column_names(corpus: TsvCorpus, header: bytes) -> list[str]:
    try:
        return [name.strip() for name in header.decode().split("\t")]
    except UnicodeDecodeError as error:
        raise not_utf8_error(str(corpus.file), 1, 0, error) from error
