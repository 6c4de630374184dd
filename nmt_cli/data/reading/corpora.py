"""Reading a corpus of any format: files → raw chunks, then each chunk on its own → examples."""

from collections.abc import Callable, Iterator
from functools import partial

from nmt_cli.data.alignments import words_of
from nmt_cli.data.reading.examples import (
    SOURCE_COLUMN,
    DropCounts,
    DroppedExample,
    Examples,
    InvalidRecordError,
    OnError,
    record_fields,
)
from nmt_cli.data.reading.jsonl import parser as jsonl_parser
from nmt_cli.data.reading.raw_chunks import RawChunk, decoded_lines, raw_lines, raw_offset, read_in_lockstep
from nmt_cli.data.reading.tmx import drop_incomplete
from nmt_cli.data.reading.tmx import read_chunks as read_tmx_chunks
from nmt_cli.data.reading.tsv import has_header
from nmt_cli.data.reading.tsv import parser as tsv_parser
from nmt_cli.errors import DataError
from nmt_cli.recipe.corpora import AnyCorpus, JsonlCorpus, TmxCorpus, TsvCorpus
from nmt_cli.text.lines import not_utf8_error

_CHUNK_RECORDS = 8192

_Columns = dict[str, list[str]]
"""Texts of some records by key: `source`, `target`, and the keys of `Examples.columns`."""


def read_chunks(corpus: AnyCorpus, languages: tuple[str, str], max_records: int) -> Iterator[RawChunk]:
    """Yield the records of a corpus in chunks that never cross a multiple of `max_records`.

    A chunk of long lines ends early.

    Args:
        languages: Codes of source and target, unless the corpus has its own.
    """
    match corpus:
        case TmxCorpus():
            yield from read_tmx_chunks(corpus, languages, max_records)
        case TsvCorpus():
            check_header = partial(tsv_parser, corpus) if has_header(corpus) else None
            yield from read_in_lockstep(corpus.files, max_records, check_header)
        case _:
            yield from read_in_lockstep(corpus.files, max_records)


def read_pairs(corpus: AnyCorpus, languages: tuple[str, str], on_error: OnError = "stop") -> Iterator[tuple[str, str]]:
    """Yield the source and target of each record, in order."""
    for examples, _ in read_examples(corpus, languages, on_error):
        yield from zip(examples.sources, examples.targets, strict=True)


def read_all(corpus: AnyCorpus, languages: tuple[str, str], on_error: OnError = "stop") -> Examples:
    """Return all examples, in order, in memory."""
    sources, targets, records, columns = list[str](), list[str](), list[int](), dict[str, list[str]]()
    for examples, _ in read_examples(corpus, languages, on_error):
        sources += examples.sources
        targets += examples.targets
        records += examples.records
        for key, texts in examples.columns.items():
            columns.setdefault(key, []).extend(texts)
    return Examples(sources, targets, records, columns)


def read_examples(
    corpus: AnyCorpus, languages: tuple[str, str], on_error: OnError = "stop"
) -> Iterator[tuple[Examples, DropCounts]]:
    """Yield all examples, some thousand at a time, and the records among them that were dropped."""
    for chunk in read_chunks(corpus, languages, _CHUNK_RECORDS):
        yield decode(corpus, chunk, on_error)


def decode(corpus: AnyCorpus, chunk: RawChunk, on_error: OnError) -> tuple[Examples, DropCounts]:
    """Decode a chunk that `read_chunks` returned for this corpus.

    A record is invalid if it is not UTF-8 or not a record of the format, or if a source column does not have one value
    per word. TMX units that lack a language are always dropped.

    Raises:
        DataError: With "stop", for the first invalid record, with file and line. With "skip" they are counted.
    """
    drops = DropCounts()
    records, columns = _decoded_columns(corpus, chunk, on_error, drops)
    match corpus:
        case TsvCorpus():
            parse = tsv_parser(corpus, chunk.header)
            records, columns = _parsed(corpus, chunk, records, columns["file"], parse, on_error, drops)
        case JsonlCorpus():
            parse = jsonl_parser(corpus)
            records, columns = _parsed(corpus, chunk, records, columns["file"], parse, on_error, drops)
        case TmxCorpus():
            records, columns = drop_incomplete(records, columns, drops)
    if getattr(corpus, "factors", None):
        records, columns = _check_source_columns(corpus, chunk, records, columns, on_error, drops)
    return Examples(columns.pop("source"), columns.pop("target"), records, columns), drops


def _decoded_columns(
    corpus: AnyCorpus, chunk: RawChunk, on_error: OnError, drops: DropCounts
) -> tuple[list[int], _Columns]:
    """Return the numbers of the records that are UTF-8, and their columns."""
    records = list(range(chunk.first, chunk.first + chunk.num_records))
    try:
        columns = {key: decoded_lines(column) for key, column in chunk.columns.items()}
    except UnicodeDecodeError:
        return _valid_columns(corpus, chunk, on_error, drops)
    assert all(len(lines) == chunk.num_records for lines in columns.values()), "columns have one line per record"
    return records, columns


def _valid_columns(
    corpus: AnyCorpus, chunk: RawChunk, on_error: OnError, drops: DropCounts
) -> tuple[list[int], _Columns]:
    records: list[int] = []
    columns: _Columns = {key: [] for key in chunk.columns}
    for row, lines in enumerate(zip(*map(raw_lines, chunk.columns.values()), strict=True)):
        try:
            texts = [line.decode() for line in lines]
        except UnicodeDecodeError:
            if on_error == "stop":
                raise _first_not_utf8(corpus, chunk, row, lines) from None
            shown = [line.decode(errors="replace") for line in lines]
            _drop(drops, "not_utf8", chunk.first + row, shown[0], shown[1] if len(shown) > 1 else "")
            continue
        records.append(chunk.first + row)
        for column, text in zip(columns.values(), texts, strict=True):
            column.append(text)
    return records, columns


def _first_not_utf8(corpus: AnyCorpus, chunk: RawChunk, row: int, lines: tuple[bytes, ...]) -> DataError:
    for key, line in zip(chunk.columns, lines, strict=True):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            offset = chunk.offsets[key] + raw_offset(chunk.columns[key], row)
            return not_utf8_error(str(corpus.files[key]), _line_number(chunk, chunk.first + row), offset, error)
    raise AssertionError("one of the lines is not UTF-8")


def _line_number(chunk: RawChunk, record: int) -> int:
    return record + (chunk.header is not None)


def _drop(drops: DropCounts, reason: str, record: int, source: str, target: str) -> None:
    drops.add(reason, 1, [DroppedExample.shortened(record, source, target)])


def _parsed(
    corpus: TsvCorpus | JsonlCorpus,
    chunk: RawChunk,
    records: list[int],
    lines: list[str],
    parse: Callable[[str], tuple[str, ...]],
    on_error: OnError,
    drops: DropCounts,
) -> tuple[list[int], _Columns]:
    """Return the numbers of the lines that are records, and their columns."""
    try:
        kept, rows = records, list(map(parse, lines))
    except InvalidRecordError:
        kept, rows = [], []
        for record, line in zip(records, lines, strict=True):
            try:
                row = parse(line)
            except InvalidRecordError as error:
                if on_error == "stop":
                    where = f"{corpus.file}: line {_line_number(chunk, record)}"
                    raise DataError(f"{where}: {error}; correct the line, or set data.on_error to skip") from error
                _drop(drops, "no_record", record, line, "")
            else:
                kept.append(record)
                rows.append(row)
    keys = record_fields(corpus)
    columns = map(list, zip(*rows, strict=True)) if rows else ([] for _ in keys)
    return kept, dict(zip(keys, columns, strict=True))


def _check_source_columns(
    corpus: AnyCorpus, chunk: RawChunk, records: list[int], columns: _Columns, on_error: OnError, drops: DropCounts
) -> tuple[list[int], _Columns]:
    """Return only records whose source columns have a value for each word of the source."""
    num_words = [len(words_of(line)) for line in columns["source"]]
    invalid = set[int]()
    for key in (key for key in columns if key.startswith(SOURCE_COLUMN)):
        for row, values in enumerate(columns[key]):
            if (num_values := len(words_of(values))) == num_words[row] or row in invalid:
                continue
            if on_error == "stop":
                path = corpus.files.get(key) or corpus.files["file"]
                where = f"{path}: line {_line_number(chunk, records[row])}"
                raise DataError(
                    f"{where}: the factor {key.removeprefix(SOURCE_COLUMN)} has {num_values} values, but the source has"
                    f" {num_words[row]} words; correct the line, or set data.on_error to skip"
                )
            _drop(drops, "factors", records[row], columns["source"][row], columns["target"][row])
            invalid.add(row)
    if not invalid:
        return records, columns
    kept = [row for row in range(len(records)) if row not in invalid]
    return [records[row] for row in kept], {key: [texts[row] for row in kept] for key, texts in columns.items()}
