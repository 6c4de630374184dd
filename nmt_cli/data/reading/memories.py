"""Translation memories (TMX 1.4 and before): their units, read as a stream."""

from collections.abc import Iterator

from nmt_cli.data.reading.line_files import RawChunk
from nmt_cli.data.reading.records import Dropped
from nmt_cli.recipe.data import TmxCorpus


def read_units(corpus: TmxCorpus, languages: tuple[str, str], rows: int) -> Iterator[RawChunk]:
    """To come."""
    raise NotImplementedError


def with_both_languages(
    numbers: list[int], columns: dict[str, list[str]], dropped: Dropped
) -> tuple[list[int], dict[str, list[str]]]:
    """To come."""
    raise NotImplementedError
