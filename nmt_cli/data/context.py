"""Document context: join sentences to those before them in their document, and separate them again."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TypeVar

import numpy as np

from nmt_cli.data.arrays import Array, Integers, starts_of
from nmt_cli.data.reading.documents import LINE_BREAK
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import SEPARATOR
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.errors import ModelError
from nmt_cli.recipe.data import Context
from nmt_cli.text.normalization import normalize_lines

T = TypeVar("T")

TEXT_SEPARATOR = LINE_BREAK
"""Separates the sentences of a line of normalised text, which itself contains no control character."""

EncodeBatch = Callable[[list[str]], tuple[Array, Integers]]
"""Returns the token ids of all lines, one line after another, and the number of tokens of each line."""


def encode_joined(
    encode: EncodeBatch,
    lines: list[str],
    prefix: Sequence[int] = (),
    separator: int | None = None,
    suffix: Sequence[int] = (),
) -> tuple[Array, Integers]:
    """Tokenize lines of one or several sentences.

    Args:
        prefix: Token ids that are put before each line.
        separator: Token id that is put between the sentences of a line; None if each line is one sentence.
        suffix: Token ids that are put after each line.

    Returns:
        As `encode`.
    """
    if suffix:
        ids, lengths = encode_joined(encode, lines, prefix, separator)
        ends = np.repeat(np.cumsum(lengths), len(suffix))
        return np.insert(ids, ends, np.tile(np.array(suffix, ids.dtype), len(lines))), lengths + len(suffix)
    if separator is None:
        ids, lengths = encode(lines)
        num_sentences = np.ones(len(lines), np.int64)
    else:
        parts = [line.split(TEXT_SEPARATOR) for line in lines]
        ids, lengths = encode(list(chain.from_iterable(parts)))
        num_sentences = np.fromiter(map(len, parts), np.int64, len(parts))
    if not lines or (not prefix and len(lengths) == len(lines)):
        return ids, lengths
    first_sentences = starts_of(num_sentences)
    is_first = np.zeros(len(lengths), bool)
    is_first[first_sentences] = True
    num_added = np.where(is_first, len(prefix), 1)
    added = np.empty(int(num_added.sum()), ids.dtype)
    in_prefix = np.repeat(is_first, num_added)
    added[in_prefix] = np.tile(np.array(prefix, ids.dtype), len(lines))
    if separator is not None:
        added[~in_prefix] = separator
    joined = np.insert(ids, np.repeat(starts_of(lengths), num_added), added)
    return joined, np.add.reduceat(lengths + num_added, first_sentences)


def encode_documents(vocabulary: Vocabulary, documents: list[str]) -> tuple[Array, Integers]:
    """Tokenize documents with escaped line breaks, line by line where the segmenter reads single lines.

    Returns:
        As `encode_joined`.

    Raises:
        ModelError: A document has several lines, and the vocabulary has no line breaks.
    """
    if vocabulary.segmenter.reads_line_breaks:
        return vocabulary.encode_batch([document.replace(LINE_BREAK, "\n") for document in documents])
    if vocabulary.line_break is None and any(LINE_BREAK in document for document in documents):
        raise ModelError("the tokenizer has no bytes, so it cannot represent line breaks")
    return encode_joined(vocabulary.encode_batch, documents, separator=vocabulary.line_break)


def decode_document(vocabulary: Vocabulary, ids: Sequence[int]) -> str:
    """Return the text of a document, with line breaks."""
    if vocabulary.segmenter.reads_line_breaks:
        return vocabulary.decode([list(ids)])[0]
    lines: list[list[int]] = [[]]
    for i in ids:
        lines.append([]) if i == vocabulary.line_break else lines[-1].append(i)
    return "\n".join(vocabulary.decode(lines))


def normalize_documents(normalization: str, documents: list[str]) -> list[str]:
    """Normalise each line of documents with escaped line breaks."""
    rows = [document.split(LINE_BREAK) for document in documents]
    lines = iter(normalize_lines(normalization, list(chain.from_iterable(rows))))
    return [LINE_BREAK.join(islice(lines, len(row))) for row in rows]


def sliding_window(
    items: Iterable[T], size: int, is_boundary: Callable[[T], bool]
) -> Iterator[tuple[T, tuple[T, ...]]]:
    """Yield each item with up to `size` items before it in its document. Boundaries separate documents."""
    before: deque[T] = deque(maxlen=size)
    for item in items:
        if is_boundary(item):
            before.clear()
            yield item, ()
        else:
            yield item, tuple(before)
            before.append(item)


@dataclass(frozen=True)
class DocumentContext:
    """Puts the tokens of earlier lines before those of a line, as in training. Without a context, adds nothing."""

    tokenizer: Tokenizer
    settings: Context | None
    max_tokens: int
    """Maximum tokens of a line and its context; the most distant lines are left out."""

    @property
    def size(self) -> int:
        """Maximum number of context lines."""
        return 0 if self.settings is None else self.settings.sentences

    @property
    def target_context(self) -> bool:
        """Whether the model also generates the translations of the lines before."""
        return self.settings is not None and self.settings.target

    @property
    def separators(self) -> set[int]:
        """Ids of the separator in the target, if the model generates it."""
        return {self.tokenizer.target.tag_id(SEPARATOR)} if self.target_context else set()

    def fit(self, before: Sequence[Sequence[str]], lengths: Sequence[int]) -> list[list[list[int]]]:
        """Return the source tokens of the context lines of each line, as far as they fit.

        Args:
            before: Context lines of each line, in order.
            lengths: Number of source tokens of each line.
        """
        if self.settings is None or not any(before):
            return [[] for _ in before]
        lines = list(dict.fromkeys(chain.from_iterable(before)))
        tokens = dict(zip(lines, self.tokenizer.encode_source(lines), strict=True))
        found = []
        for context_lines, length in zip(before, lengths, strict=True):
            rows = list[list[int]]()
            for line in reversed(context_lines):
                length += len(tokens[line]) + 1
                if length > self.max_tokens:
                    break
                rows.insert(0, tokens[line])
            found.append(rows)
        return found

    def source_prefix(self, rows: Iterable[Sequence[int]]) -> tuple[int, ...]:
        """Return the tokens to put before a source: its context lines, each followed by a separator."""
        return _separated(rows, self.tokenizer.source)

    def target_prefix(self, rows: Iterable[Sequence[int]]) -> tuple[int, ...]:
        """As `source_prefix`, for the target; empty if the model does not translate the context."""
        return _separated(rows, self.tokenizer.target) if self.target_context else ()

    def decode(self, rows: list[list[int]]) -> list[str]:
        """Return the text of each row after the last separator."""
        for separator in self.separators:
            rows = [row[_index_after(row, separator) :] for row in rows]
        return self.tokenizer.decode_target(rows)


def _separated(rows: Iterable[Sequence[int]], vocabulary: Vocabulary) -> tuple[int, ...]:
    return tuple(chain.from_iterable((*row, vocabulary.tag_id(SEPARATOR)) for row in rows))


def _index_after(row: Sequence[int], separator: int) -> int:
    return max((index + 1 for index, token in enumerate(row) if token == separator), default=0)
