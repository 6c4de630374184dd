"""Tables: which columns of the lines make a record."""

from collections.abc import Callable
from operator import itemgetter

from nmt_cli.data.reading.records import NoRecordError, columns_of
from nmt_cli.errors import DataError
from nmt_cli.recipe.data import TsvCorpus
from nmt_cli.text.lines import not_utf8_error


def has_header(corpus: TsvCorpus) -> bool:
    """Whether the first line holds names, since a column is called by one."""
    return any(isinstance(column, str) for column in columns_of(corpus).values())


def parser(corpus: TsvCorpus, header: bytes | None) -> Callable[[str], tuple[str, ...]]:
    """What takes the columns out of a line, in the order of `columns_of`; NoRecordError if one is not there.

    DataError if the header has no such names.
    """
    places = _places(corpus, header)
    values = itemgetter(*places)
    needed = max(places) + 1

    def parse(line: str) -> tuple[str, ...]:
        cells = line.split("\t")
        try:
            found: tuple[str, ...] = values(cells)
        except IndexError:
            raise NoRecordError(f"has {len(cells)} of the {needed} columns that are needed") from None
        return found

    return parse


def _places(corpus: TsvCorpus, header: bytes | None) -> list[int]:
    """The numbers of the columns, from 0."""
    names = _names(corpus, header) if header is not None else []
    places = []
    for key, column in columns_of(corpus).items():
        if isinstance(column, int):
            places.append(column - 1)
        elif names.count(column) == 1:
            places.append(names.index(column))
        else:
            raise DataError(
                f"{corpus.file}: line 1: {'two columns are' if column in names else 'no column is'} named {column!r}, "
                f"which {key} is; the names are {', '.join(map(repr, names))}"
            )
    return places


def _names(corpus: TsvCorpus, header: bytes) -> list[str]:
    try:
        return [name.strip() for name in header.decode().split("\t")]
    except UnicodeDecodeError as error:
        raise not_utf8_error(str(corpus.file), 1, 0, error) from error
