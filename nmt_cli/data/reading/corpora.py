"""Reading a corpus of any format: files → raw chunks, then each chunk on its own → examples."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from nmt_cli.data.alignments import words_of
from nmt_cli.data.reading.documents import read_document_chunks, with_escaped_breaks
from nmt_cli.data.reading.examples import SOURCE_COLUMN, DropCounts, DroppedExample, Examples, OnError
from nmt_cli.data.reading.raw_chunks import RawChunk, decoded_lines, raw_lines, raw_offset, read_in_lockstep
from nmt_cli.data.reading.records import InvalidRecordError, check_first_row, has_header, record_fields, record_parser
from nmt_cli.data.reading.tmx import drop_unpaired
from nmt_cli.data.reading.tmx import read_chunks as read_tmx_chunks
from nmt_cli.errors import DataError
from nmt_cli.recipe.corpora import AnyCorpus, JsonlCorpus, TextCorpus, TmxCorpus, TsvCorpus
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
            check = partial(check_first_row, corpus, languages)
            yield from read_in_lockstep(corpus.files, max_records, check, has_header(corpus))
        case TextCorpus():
            yield from read_document_chunks(corpus, max_records)
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
    """Yield all examples, some thousand at a time, and the counts of dropped records."""
    for chunk in read_chunks(corpus, languages, _CHUNK_RECORDS):
        yield decode(corpus, chunk, on_error)


def decode(corpus: AnyCorpus, chunk: RawChunk, on_error: OnError) -> tuple[Examples, DropCounts]:
    """Decode a chunk that `read_chunks` returned for this corpus.

    A record is invalid if it is not UTF-8 or not a record of the format, or if a source column does not have one value
    per word. Blank lines between records, and TMX units that lack a language, are always dropped.

    Raises:
        DataError: A record is invalid and `on_error` is "stop"; the message has file and line. With "skip", invalid
            records are counted.
    """
    decoder = _ChunkDecoder(corpus, chunk, on_error)
    return decoder.decode(), decoder.drops


class _ChunkDecoder:
    """Decodes one chunk. Raises an error for the first invalid record, or counts all invalid records."""

    def __init__(self, corpus: AnyCorpus, chunk: RawChunk, on_error: OnError) -> None:
        self._corpus, self._chunk, self._stops = corpus, chunk, on_error == "stop"
        self.drops = DropCounts()

    def decode(self) -> Examples:
        records, columns = self._texts()
        match self._corpus:
            case TsvCorpus() | JsonlCorpus():
                records, columns = self._parsed(self._corpus, records, columns["file"])
            case TextCorpus(field=None):
                columns = {"source": [""] * len(records), "target": columns["file"]}
            case TextCorpus():
                records, columns = self._parsed(self._corpus, records, columns["file"])
                columns = {"source": [""] * len(records), "target": list(map(with_escaped_breaks, columns["target"]))}
            case TmxCorpus():
                records, columns = drop_unpaired(records, columns, self.drops, stops=self._stops)
        if getattr(self._corpus, "factors", None):
            records, columns = self._with_complete_factors(records, columns)
        return Examples(columns.pop("source"), columns.pop("target"), records, columns)

    def _texts(self) -> tuple[list[int], _Columns]:
        """Return the numbers of the records that are UTF-8, and their columns."""
        chunk = self._chunk
        try:
            columns = {key: decoded_lines(column) for key, column in chunk.columns.items()}
        except UnicodeDecodeError:
            return self._valid_texts()
        assert all(len(lines) == chunk.num_records for lines in columns.values()), "columns have one line per record"
        return list(range(chunk.first, chunk.first + chunk.num_records)), columns

    def _valid_texts(self) -> tuple[list[int], _Columns]:
        chunk, records, rows = self._chunk, list[int](), list[list[str]]()
        for row, lines in enumerate(zip(*map(raw_lines, chunk.columns.values()), strict=True)):
            record = chunk.first + row
            try:
                rows.append([line.decode() for line in lines])
                records.append(record)
            except UnicodeDecodeError as error:
                if self._stops and isinstance(self._corpus, TextCorpus):
                    raise DataError(f"{self._corpus.file}: document {record:,}: is not UTF-8") from error
                if self._stops:
                    key = [*chunk.columns][lines.index(error.object)]
                    offset = chunk.offsets[key] + raw_offset(chunk.columns[key], row)
                    path = str(self._corpus.files[key])
                    raise not_utf8_error(path, self._line_number(record), offset, error) from None
                shown = [line.decode(errors="replace") for line in lines]
                self._drop("not_utf8", record, shown[0], shown[1] if len(shown) > 1 else "")
        return records, _transposed(chunk.columns, rows)

    def _parsed(
        self, corpus: TsvCorpus | JsonlCorpus | TextCorpus, records: list[int], lines: list[str]
    ) -> tuple[list[int], _Columns]:
        """Return the numbers of the lines that are records, and their columns."""
        parse = record_parser(corpus, self._chunk.first_row)
        try:
            kept, rows = records, list(map(parse, lines))
        except InvalidRecordError:
            kept, rows = [], []
            for record, line in zip(records, lines, strict=True):
                if not line.strip(" \r"):
                    self._drop("blank", record, line, "")
                    continue
                try:
                    rows.append(parse(line))
                    kept.append(record)
                except InvalidRecordError as error:
                    if self._stops:
                        where = f"{corpus.file}: line {self._line_number(record)}"
                        raise DataError(f"{where}: {error}; correct the line, or set data.on_error to skip") from error
                    self._drop("no_record", record, line, "")
        return kept, _transposed(record_fields(corpus), rows)

    def _with_complete_factors(self, records: list[int], columns: _Columns) -> tuple[list[int], _Columns]:
        """Return the records whose source columns have a value for each word of the source."""
        num_words = [len(words_of(line)) for line in columns["source"]]
        invalid = set[int]()
        for key in (key for key in columns if key.startswith(SOURCE_COLUMN)):
            for row, values in enumerate(columns[key]):
                if (num_values := len(words_of(values))) == num_words[row] or row in invalid:
                    continue
                if self._stops:
                    path = self._corpus.files.get(key) or self._corpus.files["file"]
                    where = f"{path}: line {self._line_number(records[row])}"
                    raise DataError(
                        f"{where}: the factor {key.removeprefix(SOURCE_COLUMN)} has {num_values} values, but the source"
                        f" has {num_words[row]} words; correct the line, or set data.on_error to skip"
                    )
                self._drop("factors", records[row], columns["source"][row], columns["target"][row])
                invalid.add(row)
        if not invalid:
            return records, columns
        kept = [row for row in range(len(records)) if row not in invalid]
        return [records[row] for row in kept], {key: [texts[row] for row in kept] for key, texts in columns.items()}

    def _line_number(self, record: int) -> int:
        return record + (isinstance(self._corpus, TsvCorpus) and has_header(self._corpus))

    def _drop(self, reason: str, record: int, source: str, target: str) -> None:
        self.drops.add(reason, 1, [DroppedExample.shortened(record, source, target)])


def _transposed(keys: Iterable[str], rows: Sequence[Sequence[str]]) -> _Columns:
    """Return the columns of rows by key."""
    return {key: [row[index] for row in rows] for index, key in enumerate(keys)}
