"""The chunks of a corpus in any format, and its pairs for those who want nothing else."""

from collections.abc import Iterator
from functools import partial

from nmt_cli.data.reading import memories, tables
from nmt_cli.data.reading.decoding import decode
from nmt_cli.data.reading.line_files import RawChunk, read_in_step
from nmt_cli.data.reading.records import OnError, Records
from nmt_cli.recipe.data import AnyCorpus, TmxCorpus, TsvCorpus

_ROWS = 8192


def read_chunks(corpus: AnyCorpus, languages: tuple[str, str], rows: int) -> Iterator[RawChunk]:
    """The records of a corpus, in chunks of at most `rows` that never go over a multiple of it.

    A chunk of long lines ends early. `languages` are those of source and target, unless the corpus has its own.
    """
    match corpus:
        case TmxCorpus():
            yield from memories.read_units(corpus, languages, rows)
        case TsvCorpus():
            check_header = partial(tables.parser, corpus) if tables.has_header(corpus) else None
            yield from read_in_step(corpus.files, rows, check_header)
        case _:
            yield from read_in_step(corpus.files, rows)


def read_pairs(corpus: AnyCorpus, languages: tuple[str, str], on_error: OnError = "stop") -> Iterator[tuple[str, str]]:
    """Source and target of all records, in order."""
    for records in read_records(corpus, languages, on_error):
        yield from zip(records.sources, records.targets, strict=True)


def read_whole(corpus: AnyCorpus, languages: tuple[str, str], on_error: OnError = "stop") -> Records:
    """All records, in order, in memory; nothing is said of those that are dropped."""
    whole = Records([], [], [])
    for records in read_records(corpus, languages, on_error):
        whole.numbers.extend(records.numbers)
        whole.sources.extend(records.sources)
        whole.targets.extend(records.targets)
        for key, texts in records.extras.items():
            whole.extras.setdefault(key, []).extend(texts)
    return whole


def read_records(corpus: AnyCorpus, languages: tuple[str, str], on_error: OnError = "stop") -> Iterator[Records]:
    """All records, some thousand at once, and what was no record among them."""
    for chunk in read_chunks(corpus, languages, _ROWS):
        yield decode(corpus, chunk, on_error)
