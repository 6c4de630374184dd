"""From bytes to records, in whichever process: each chunk can be decoded alone."""

from collections.abc import Callable

from nmt_cli.data.alignments import words_of
from nmt_cli.data.reading import memories, objects, tables
from nmt_cli.data.reading.line_files import RawChunk
from nmt_cli.data.reading.records import (
    FACTORS,
    Dropped,
    Example,
    NoRecordError,
    OnError,
    Records,
    columns_of,
    decoded_lines,
    raw_lines,
    raw_offset,
)
from nmt_cli.errors import DataError
from nmt_cli.recipe.data import AnyCorpus, JsonlCorpus, TmxCorpus, TsvCorpus
from nmt_cli.text.lines import not_utf8_error

Columns = dict[str, list[str]]


def decode(corpus: AnyCorpus, chunk: RawChunk, on_error: OnError) -> Records:
    """The records of a chunk that `read_chunks` found in this corpus.

    What is not UTF-8, or no record of the format, or has not a value of each factor for each word of the source,
    raises DataError with file and line, or is dropped and counted.
    """
    dropped = Dropped()
    numbers, columns = _texts(corpus, chunk, on_error, dropped)
    match corpus:
        case TsvCorpus():
            numbers, columns = _parsed(
                corpus, chunk, numbers, columns["file"], tables.parser(corpus, chunk.header), on_error, dropped
            )
        case JsonlCorpus():
            numbers, columns = _parsed(
                corpus, chunk, numbers, columns["file"], objects.parser(corpus), on_error, dropped
            )
        case TmxCorpus():
            numbers, columns = memories.with_both_languages(numbers, columns, dropped)
    if getattr(corpus, "factors", None):
        numbers, columns = _with_factors(corpus, chunk, numbers, columns, on_error, dropped)
    return Records(numbers, columns.pop("source"), columns.pop("target"), columns, dropped)


def _texts(corpus: AnyCorpus, chunk: RawChunk, on_error: OnError, dropped: Dropped) -> tuple[list[int], Columns]:
    """The columns in rows that are UTF-8, and the numbers of these."""
    numbers = list(range(chunk.first, chunk.first + chunk.rows))
    try:
        columns = {key: decoded_lines(column) for key, column in chunk.columns.items()}
    except UnicodeDecodeError:
        return _valid_texts(corpus, chunk, on_error, dropped)
    assert all(len(lines) == chunk.rows for lines in columns.values()), "a chunk has as many lines as it says"
    return numbers, columns


def _valid_texts(corpus: AnyCorpus, chunk: RawChunk, on_error: OnError, dropped: Dropped) -> tuple[list[int], Columns]:
    numbers: list[int] = []
    columns: Columns = {key: [] for key in chunk.columns}
    for row, lines in enumerate(zip(*map(raw_lines, chunk.columns.values()), strict=True)):
        try:
            texts = [line.decode() for line in lines]
        except UnicodeDecodeError:
            if on_error == "stop":
                raise _first_not_utf8(corpus, chunk, row, lines) from None
            shown = [line.decode(errors="replace") for line in lines]
            dropped.add("not_utf8", Example(chunk.first + row, shown[0], shown[1] if len(shown) > 1 else ""))
            continue
        numbers.append(chunk.first + row)
        for column, text in zip(columns.values(), texts, strict=True):
            column.append(text)
    return numbers, columns


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


def _parsed(
    corpus: TsvCorpus | JsonlCorpus,
    chunk: RawChunk,
    numbers: list[int],
    lines: list[str],
    parse: Callable[[str], tuple[str, ...]],
    on_error: OnError,
    dropped: Dropped,
) -> tuple[list[int], Columns]:
    """The columns in lines that are records, and the numbers of these."""
    try:
        kept, rows = numbers, list(map(parse, lines))
    except NoRecordError:
        kept, rows = [], []
        for number, line in zip(numbers, lines, strict=True):
            try:
                row = parse(line)
            except NoRecordError as error:
                if on_error == "stop":
                    place = f"{corpus.file}: line {_line_number(chunk, number)}"
                    raise DataError(f"{place}: {error}; correct it, or set data.on_error to skip") from error
                dropped.add("no_record", Example(number, line, ""))
            else:
                kept.append(number)
                rows.append(row)
    keys = columns_of(corpus)
    columns = map(list, zip(*rows, strict=True)) if rows else ([] for _ in keys)
    return kept, dict(zip(keys, columns, strict=True))


def _with_factors(
    corpus: AnyCorpus, chunk: RawChunk, numbers: list[int], columns: Columns, on_error: OnError, dropped: Dropped
) -> tuple[list[int], Columns]:
    """The columns in rows that have a value of each factor for each word of the source, and the numbers of these."""
    words = [len(words_of(line)) for line in columns["source"]]
    wrong = set[int]()
    for key in (key for key in columns if key.startswith(FACTORS)):
        for row, values in enumerate(columns[key]):
            if (given := len(words_of(values))) == words[row] or row in wrong:
                continue
            if on_error == "stop":
                path = corpus.files.get(key) or corpus.files["file"]
                place = f"{path}: line {_line_number(chunk, numbers[row])}: the factor {key.removeprefix(FACTORS)}"
                raise DataError(
                    f"{place} has {given} values for the {words[row]} words of the source;"
                    " correct it, or set data.on_error to skip"
                )
            dropped.add("factors", Example(numbers[row], columns["source"][row], columns["target"][row]))
            wrong.add(row)
    if not wrong:
        return numbers, columns
    kept = [row for row in range(len(numbers)) if row not in wrong]
    return [numbers[row] for row in kept], {key: [texts[row] for row in kept] for key, texts in columns.items()}
