"""Text without translations: each document is a record of one line, in which line breaks are escaped."""

from collections.abc import Iterator

from nmt_cli.data.reading.raw_chunks import MAX_CHUNK_BYTES, RawChunk, raw_lines, read_in_lockstep
from nmt_cli.recipe.corpora import TextCorpus
from nmt_cli.text.normalization import is_blank

LINE_BREAK = "\x1e"
"""Stands for a line break in a record. Normalised text contains no control character."""
_LINES_AT_ONCE = 8192


def with_escaped_breaks(text: str) -> str:
    """Return a document as a record: line breaks are escaped, and those at its end removed."""
    return text.replace("\r\n", "\n").rstrip("\n").replace("\n", LINE_BREAK)


def read_document_chunks(corpus: TextCorpus, max_records: int) -> Iterator[RawChunk]:
    """Yield the documents of a corpus in chunks, as `read_chunks` does. A document of JSON Lines is an object."""
    if corpus.field is not None or corpus.separator == "newline":
        yield from read_in_lockstep(corpus.files, max_records)
        return
    first, documents, size = 1, list[bytes](), 0
    for document in _documents(corpus):
        documents.append(document + b"\n")
        size += len(documents[-1])
        if (first + len(documents) - 1) % max_records == 0 or size >= MAX_CHUNK_BYTES:
            yield RawChunk(first, len(documents), {"file": b"".join(documents)})
            first, documents, size = first + len(documents), [], 0
    if documents:
        yield RawChunk(first, len(documents), {"file": b"".join(documents)})


def _documents(corpus: TextCorpus) -> Iterator[bytes]:
    """Yield the documents between blank lines, or the file as one document."""
    lines, escaped = list[bytes](), LINE_BREAK.encode()
    for chunk in read_in_lockstep(corpus.files, _LINES_AT_ONCE):
        for line in raw_lines(chunk.columns["file"]):
            if corpus.separator == "none" or not is_blank(line.decode(errors="replace")):
                lines.append(line)
            elif lines:
                yield escaped.join(lines)
                lines = []
    if lines:
        yield escaped.join(lines)
