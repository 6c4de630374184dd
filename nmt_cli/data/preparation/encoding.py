"""One chunk of a corpus: raw records → normalised examples that the filters keep → bytes for the files of a shard."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmt_cli.data.alignments import WordLink, link_arrays, normalized_links, words_of
from nmt_cli.data.arrays import Booleans, Integers
from nmt_cli.data.context import TEXT_SEPARATOR, EncodeBatch, encode_documents, encode_joined
from nmt_cli.data.factors import FactoredSource, token_factors
from nmt_cli.data.filters.duplicates import HeldOutKeys
from nmt_cli.data.filters.pipeline import FilterPipeline, FilterResult, KeyFilter, build_filters
from nmt_cli.data.preparation.corpora import CorpusTask
from nmt_cli.data.preparation.length_tags import LengthTagger
from nmt_cli.data.preparation.shard_files import ALIGNMENT, RECORD_IDS, TEXT, ShardFormat, StoredArray, key_file
from nmt_cli.data.reading import DropCounts, RawChunk, decode
from nmt_cli.data.reading.examples import Examples
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.oov import copy_ids_of_added, extended_ids, to_extended_ids
from nmt_cli.data.tokenizing.tags import SEPARATOR, AddedTokens
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.errors import DataError
from nmt_cli.recipe.data import Context, Data
from nmt_cli.recipe.schema import Recipe
from nmt_cli.text.normalization import is_blank
from nmt_cli.text.special_tokens import COPY_IDS

Buffers = dict[str, bytes]
"""Content to append to the files of a shard, by name. Offsets are relative to the chunk and exclude the leading 0."""


@dataclass(frozen=True)
class EncodedChunk:
    """The encoded pairs of a raw chunk that are kept."""

    corpus: str
    """Name of the corpus task."""
    first: int
    """1-based number of the first record of the chunk."""
    num_records: int
    num_pairs: int
    drops: DropCounts
    buffers: Buffers


class ChunkCleaner:
    """Decodes, normalises and filters chunks. From validation corpora, only pairs with an empty side are dropped."""

    def __init__(self, data: Data, normalization: str, held_out: HeldOutKeys) -> None:
        self._data, self._normalization, self._held_out = data, normalization, held_out
        self._pipelines = dict[str, FilterPipeline]()

    def __call__(self, task: CorpusTask, chunk: RawChunk) -> tuple[FilterResult, DropCounts]:
        """Return the result of the filters for a chunk, and counts of all pairs dropped by decoding and filters."""
        examples, drops = decode(task.corpus, chunk, self._data.on_error)
        if task.name not in self._pipelines:
            filters, name = self._data.filters if task.is_training else [], task.name.partition("/")[2]
            self._pipelines[task.name] = FilterPipeline(
                filters, task.languages, self._held_out, self._normalization, name, self._data.is_monolingual
            )
        result = self._pipelines[task.name].apply(examples)
        for reason, indices in result.dropped.items():
            drops.add(reason, len(indices), result.normalized.dropped(indices))
        return result, drops


def drop_reasons(data: Data) -> dict[str, str]:
    """Return the description of each reason to drop a pair, in the order in which the reasons are checked."""
    languages = data.source_language, data.target_language
    filters = build_filters(data.filters, languages, HeldOutKeys.of(), data.is_monolingual)
    return {
        "not_utf8": "a line is not UTF-8",
        "blank": "a line between the records is blank",
        "no_record": "a line is not a record of the format",
        "no_language": "one of the languages is missing",
        "no_segment": "a translation unit has no segment in one of the languages, or an unequal number of subflows",
        "factors": "a factor does not have one value per word",
        **{each.name: each.description for each in filters if not isinstance(each, KeyFilter)},
        "too_long": f"a side has more than {data.max_length:,} subwords",
        **{each.name: each.description for each in filters if isinstance(each, KeyFilter)},
    }


class ChunkEncoder:
    """Encodes chunks of any corpus of a recipe.

    1. Decode the records, normalise them, and apply the local filters (`ChunkCleaner`).
    2. Join each pair with its context, if the recipe has any.
    3. Encode both sides; put tags before the source; drop pairs that are too long. In training corpora, the length tag
       follows from the pair; in validation corpora it is that of a normal length, as in translation.
    4. Collect alignments, source columns, and the keys for the key filters.
    """

    def __init__(self, recipe: Recipe, tokenizer: Path, held_out: HeldOutKeys) -> None:
        self._data, self._tokenizer = recipe.data, Tokenizer.load(tokenizer)
        self._format = ShardFormat.of(self._tokenizer)
        self._clean = ChunkCleaner(recipe.data, self._tokenizer.normalization, held_out)
        bounds, self._length_tagger = self._data.length_bounds, None
        if bounds is not None:
            self._length_tagger = LengthTagger(bounds, self._tokenizer.source)
        self._separator = None if self._data.context is None else self._tokenizer.tag_id(SEPARATOR)

    def __call__(self, item: tuple[CorpusTask, RawChunk]) -> EncodedChunk:
        """Encode one chunk."""
        task, chunk = item
        is_limited = task.is_training and not self._data.is_monolingual
        tokenizer, max_length = self._tokenizer, self._data.max_length if is_limited else math.inf
        result, drops = self._clean(task, chunk)
        context = self._clean(task, chunk.context)[0] if chunk.context else None
        sources, targets = join_context(result, self._data.context, context)
        fits = _may_fit(tokenizer.source, sources, max_length) & _may_fit(tokenizer.target, targets, max_length)
        added = AddedTokens.of(self._data, task.languages, task.tag, tokenizer.source)
        source = _EncodedLines.of(
            tokenizer.source.encode_batch,
            list(compress(sources, fits)),
            self._separator,
            added.before_source,
            added.after_source,
        )
        targets = list(compress(targets, fits))
        if self._data.is_monolingual:
            target = _EncodedLines(targets, *encode_documents(tokenizer.target, targets))
        else:
            target = _EncodedLines.of(tokenizer.target.encode_batch, targets, self._separator, added.before_target)
        is_short = np.maximum(source.lengths, target.lengths) <= max_length
        fits[fits] = is_short
        too_long = np.flatnonzero(~fits)
        drops.add("too_long", len(too_long), result.kept.dropped(too_long))
        source, target, pairs = source.select(is_short), target.select(is_short), result.kept.select(fits)
        if self._length_tagger is not None and task.is_training:
            source = source.with_length_tags(self._length_tagger, len(added.before_source) - 1, pairs)
        copy_ids: Integers = np.empty(0, np.int64)
        if tokenizer.copies:
            copy_ids, target = _with_copies(tokenizer, added, source, target)
        buffers = source.buffers(self._format.tokens["source"], TEXT["source"])
        buffers |= target.buffers(self._format.tokens["target"], TEXT["target"])
        raw_indices = result.indices[fits]
        if task.is_aligned:
            buffers |= _alignment_buffers(task, result.raw, pairs, raw_indices, tokenizer)
        if self._format.source_columns:
            columns = {COPY_IDS: copy_ids, **_source_columns(result.raw, pairs, raw_indices, tokenizer, source)}
            for name, stored in self._format.source_columns.items():
                buffers |= stored.buffers(columns[name])
        if result.keys:
            buffers |= RECORD_IDS.buffers(np.array(pairs.records))
            for index, keys in enumerate(result.keys):
                buffers |= key_file(index).buffers(keys[fits])
        return EncodedChunk(task.name, chunk.first, chunk.num_records, len(pairs), drops, buffers)


def _may_fit(vocabulary: Vocabulary, lines: list[str], max_length: float) -> Booleans:
    """Return whether each line may have at most `max_length` tokens, to avoid encoding lines of megabytes."""
    if not lines or vocabulary.min_tokens(max(lines, key=len)) <= max_length:
        return np.ones(len(lines), bool)
    return np.fromiter((vocabulary.min_tokens(line) <= max_length for line in lines), bool, len(lines))


@dataclass(frozen=True)
class _EncodedLines:
    """One side of a batch of pairs."""

    lines: list[str]
    tokens: npt.NDArray[np.int32]
    """Token ids of all lines, one line after another."""
    lengths: Integers
    """Tokens of each line."""

    @classmethod
    def of(
        cls,
        encode: EncodeBatch,
        lines: list[str],
        separator: int | None,
        prefix: Sequence[int] = (),
        suffix: Sequence[int] = (),
    ) -> "_EncodedLines":
        return cls(lines, *encode_joined(encode, lines, prefix, separator, suffix))

    def select(self, mask: Booleans) -> "_EncodedLines":
        if mask.all():
            return self
        lines, tokens = list(compress(self.lines, mask)), self.tokens[np.repeat(mask, self.lengths)]
        return _EncodedLines(lines, tokens, self.lengths[mask])

    def with_length_tags(self, tagger: LengthTagger, position: int, pairs: Examples) -> "_EncodedLines":
        """Return the sources of `pairs` with the tags of their lengths at this position of each source."""
        tokens = self.tokens.copy()
        tag_ids = tagger.classify(zip(pairs.sources, pairs.targets, strict=True))
        tagger.replace_tags(tokens, self.lengths, position, tag_ids)
        return replace(self, tokens=tokens)

    def buffers(self, tokens: StoredArray, text: StoredArray) -> Buffers:
        content = "".join([f"{line}\n" for line in self.lines]).encode()
        ends = np.flatnonzero(np.frombuffer(content, np.uint8) == ord("\n")) + 1
        return tokens.buffers(self.tokens, self.lengths) | text.buffers(content, np.diff(ends, prepend=0))


def join_context(
    result: FilterResult, settings: Context | None, context: FilterResult | None
) -> tuple[list[str], list[str]]:
    """Return the sources and targets of the kept pairs, each preceded by its context from the same document.

    A pair with an empty source and target ends a document. A pair that is in a validation or test set also ends it, so
    that training does not see the pair. Pairs that other filters dropped are part of the context.

    Args:
        context: Result of the filters for the preceding records.
    """
    if settings is None:
        return result.kept.sources, result.kept.targets
    sources, targets, held_out = result.normalized.sources, result.normalized.targets, set(result.held_out.tolist())
    offset = 0
    if context is not None:
        offset = len(context.normalized)
        sources, targets = context.normalized.sources + sources, context.normalized.targets + targets
        held_out = {*context.held_out.tolist(), *(index + offset for index in held_out)}
    document_start, starts = 0, list[int]()
    for index, (source, target) in enumerate(zip(sources, targets, strict=True)):
        if index in held_out or (is_blank(source) and is_blank(target)):
            document_start = index + 1
        starts.append(max(document_start, index - settings.sentences))
    joined: tuple[list[str], list[str]] = ([], [])
    for index in map(int, result.indices + offset):
        joined[0].append(TEXT_SEPARATOR.join(sources[starts[index] : index + 1]))
        target_start = starts[index] if settings.target else index
        joined[1].append(TEXT_SEPARATOR.join(targets[target_start : index + 1]))
    return joined


def _alignment_buffers(
    task: CorpusTask, raw: Examples, pairs: Examples, raw_indices: Integers, tokenizer: Tokenizer
) -> Buffers:
    """Return the buffers of the word alignments of the kept pairs, whose links are between normalised words."""
    links = list[list[WordLink]]()
    for row, index in enumerate(raw_indices.tolist()):
        texts, normalized = (raw.sources[index], raw.targets[index]), (pairs.sources[row], pairs.targets[row])
        try:
            links.append(normalized_links(pairs.columns["alignment"][row], texts, normalized, tokenizer.normalize))
        except ValueError as error:
            path = task.corpus.files.get("alignment") or task.corpus.files["file"]
            where = f"{path}: line {pairs.records[row]}"
            raise DataError(f"{where}: {error}; make the alignment from exactly the lines of this corpus") from error
    return ALIGNMENT.buffers(*link_arrays(links))


def _with_copies(
    tokenizer: Tokenizer, added: AddedTokens, source: _EncodedLines, target: _EncodedLines
) -> tuple[Integers, _EncodedLines]:
    """Return the copy id of each source token, and the targets with extended ids of the words that they copy.

    See `data.tokenizing.oov`.
    """
    size, unk = tokenizer.target_size, tokenizer.special_tokens.unk
    copy_ids, tokens = list[int](), list[int]()
    before, after = (
        copy_ids_of_added(each, tokenizer.special_tokens) for each in (added.before_source, added.after_source)
    )
    targets = tokenizer.encode_target(target.lines, oov=True)
    for copies, row in zip(tokenizer.encode_copies(source.lines), targets, strict=True):
        extended = extended_ids(copies, size)
        copy_ids += [*before, *to_extended_ids(copies, extended, size, unk), *after]
        tokens += [*added.before_target, *to_extended_ids(row, extended, size, unk)]
    return np.array(copy_ids, np.int64), replace(target, tokens=np.array(tokens, np.int32))


def _source_columns(
    raw: Examples, pairs: Examples, raw_indices: Integers, tokenizer: Tokenizer, source: _EncodedLines
) -> dict[str, npt.NDArray[np.generic]]:
    """Return the source columns of the kept pairs by name, with one row per token of `source`."""
    values = [pairs.source_columns[name] for name in tokenizer.factors.names]
    sources = [
        FactoredSource(raw.sources[index], pairs.sources[row], [words_of(lines[row]) for lines in values])
        for row, index in enumerate(raw_indices.tolist())
    ]
    return dict(token_factors(tokenizer, sources, source.tokens, source.lengths))
