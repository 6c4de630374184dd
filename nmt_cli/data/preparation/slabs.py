"""One slab of a corpus: some thousand records → what is kept of them, as bytes to append to a shard's files."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmt_cli.data.alignments import link_arrays, normalized_links, words_of
from nmt_cli.data.arrays import Booleans, Integers
from nmt_cli.data.context import EncodeBatch, encode_joined
from nmt_cli.data.factors import FactoredSource, token_factors
from nmt_cli.data.filters import HeldOut
from nmt_cli.data.preparation.context import with_context
from nmt_cli.data.preparation.corpora import Task
from nmt_cli.data.preparation.sieve import Losses, Sieved, Sieves, examples_of
from nmt_cli.data.reading import RawChunk
from nmt_cli.data.token_corpus import column_file, token_type
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import SEPARATOR, prefix_tags
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.errors import DataError
from nmt_cli.recipe.schema import Recipe


@dataclass(frozen=True)
class RawSlab:
    """Records as they were read, and where they belong."""

    task: Task
    shard: int
    chunk: RawChunk
    before: RawChunk | None = None
    """Those before them, if they are their context."""


@dataclass(frozen=True)
class Slab:
    """What is made of some records."""

    task: Task
    shard: int
    records: int
    pairs: int
    """Those that are kept."""
    losses: Losses
    pieces: dict[str, bytes]
    """To append to the files of these names. Offsets are where each line ends, counted within the piece."""


class SlabMaker:
    """Makes slabs of any corpus of a recipe."""

    def __init__(self, recipe: Recipe, tokenizer: Path, held_out: HeldOut) -> None:
        self._data, self._words = recipe.data, Tokenizer.load(tokenizer)
        self._sieves = Sieves(recipe.data, self._words.normalization, held_out)
        self._separator = None if self._data.context is None else self._words.tag_id(SEPARATOR)

    def __call__(self, raw: RawSlab) -> Slab:
        """Read, sift and cut one slab."""
        task, words, longest = raw.task, self._words, self._data.max_length if raw.task.is_learned else math.inf
        sieve = self._sieves.of(task)
        sieved = sieve(raw.chunk)
        before = sieve(raw.before) if raw.before else None
        sources, targets = with_context(sieved, self._data.context, before)
        fits = _may_fit(words.source, sources, longest) & _may_fit(words.target, targets, longest)
        prefix = [words.tag_id(tag) for tag in prefix_tags(self._data, task.languages[1], task.tag)]
        source = _Side.cut(words.source.encode_batch, list(compress(sources, fits)), prefix, self._separator)
        target = _Side.cut(words.target.encode_batch, list(compress(targets, fits)), (), self._separator)
        short = np.maximum(source.lengths, target.lengths) <= longest
        kept = np.flatnonzero(fits)[short]
        if len(kept) < len(sources):
            too_long = np.setdiff1d(np.arange(len(sources)), kept)
            sieved.losses.add("too_long", len(too_long), examples_of(sieved.rows, too_long))
        source, target = source.only(short), target.only(short)
        pieces = source.pieces("source", words.source_size) | target.pieces("target", words.target_size)
        if task.is_aligned:
            pieces |= _link_pieces(task, sieved, kept, words)
        if self._data.factors:
            pieces |= _column_pieces(sieved, kept, words, source)
        if sieved.keys:
            pieces["records"] = np.array(sieved.rows.numbers, "<i8")[kept].tobytes()
            pieces |= {f"keys.{number}": keys[kept].tobytes() for number, keys in enumerate(sieved.keys)}
        return Slab(task, raw.shard, raw.chunk.rows, len(kept), sieved.losses, pieces)


def _may_fit(words: Vocabulary, lines: list[str], longest: float) -> Booleans:
    """Which lines are worth cutting: one of megabytes is not."""
    if not lines or words.min_tokens(max(lines, key=len)) <= longest:
        return np.ones(len(lines), bool)
    return np.fromiter((words.min_tokens(line) <= longest for line in lines), bool, len(lines))


@dataclass(frozen=True)
class _Side:
    """One side of some pairs, cut."""

    lines: list[str]
    tokens: npt.NDArray[np.int32]
    lengths: Integers

    @classmethod
    def cut(cls, encode: EncodeBatch, lines: list[str], prefix: Sequence[int], separator: int | None) -> "_Side":
        return cls(lines, *encode_joined(encode, lines, prefix, separator))

    def only(self, kept: Booleans) -> "_Side":
        """Of the pairs that are kept."""
        if kept.all():
            return self
        lines, tokens = list(compress(self.lines, kept)), self.tokens[np.repeat(kept, self.lengths)]
        return _Side(lines, tokens, self.lengths[kept])

    def pieces(self, side: str, vocabulary_size: int) -> dict[str, bytes]:
        """What is to be written."""
        text = "".join([f"{line}\n" for line in self.lines]).encode()
        line_ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1
        return {
            f"{side}.bin": self.tokens.astype(token_type(vocabulary_size)).tobytes(),
            f"{side}.offsets": np.cumsum(self.lengths, dtype="<i8").tobytes(),
            f"{side}.txt": text,
            f"{side}.lines": line_ends.astype("<i8").tobytes(),
        }


def _link_pieces(task: Task, sieved: Sieved, kept: Integers, words: Tokenizer) -> dict[str, bytes]:
    """The word alignments of the kept pairs, between normalised words."""
    records, rows = sieved.records, sieved.rows
    lines = []
    for row in kept:
        place = int(sieved.places[row])
        raw, normal = (records.sources[place], records.targets[place]), (rows.sources[row], rows.targets[row])
        try:
            lines.append(normalized_links(records.extras["alignment"][place], raw, normal, words.normalize))
        except ValueError as error:
            where = f"{task.corpus.files.get('alignment') or task.corpus.files['file']}: line {records.numbers[place]}"
            raise DataError(f"{where}: {error}; it must be made from the very lines of this corpus") from error
    links, counts = link_arrays(lines)
    return {"alignment.bin": links.tobytes(), "alignment.offsets": np.cumsum(counts, dtype="<i8").tobytes()}


def _column_pieces(sieved: Sieved, kept: Integers, words: Tokenizer, source: _Side) -> dict[str, bytes]:
    """The source columns of the kept pairs, whose sources `source` holds."""
    records, names = sieved.records, words.factors.names
    given = [records.factors[name] for name in names]
    sources = []
    for row in kept:
        place = int(sieved.places[row])
        values = [words_of(lines[place]) for lines in given]
        sources.append(FactoredSource(records.sources[place], sieved.rows.sources[row], values))
    columns = token_factors(words, sources, source.tokens, source.lengths)
    return {column_file(name): column.tobytes() for name, column in columns.items()}
