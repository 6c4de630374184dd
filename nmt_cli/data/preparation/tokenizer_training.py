"""Train the tokenizer on a sample of the pairs that the filters keep. Equal pairs count once."""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import itemgetter
from pathlib import Path

import numpy as np

from nmt_cli.console import OnProgress, ProgressBar, info
from nmt_cli.data.alignments import words_of
from nmt_cli.data.filters.duplicates import HeldOutKeys
from nmt_cli.data.preparation.corpora import CorpusTask
from nmt_cli.data.preparation.encoding import ChunkCleaner, drop_reasons
from nmt_cli.data.preparation.length_tags import adapted_length_bounds
from nmt_cli.data.reading import RawChunk, read_chunks
from nmt_cli.data.reading.documents import LINE_BREAK
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.extension import extend
from nmt_cli.data.tokenizing.sentencepiece_training import CHARACTER_COVERAGE, MAX_CHARACTERS
from nmt_cli.data.tokenizing.tags import tags_of
from nmt_cli.data.tokenizing.vocabulary import FactorValues, Vocabulary
from nmt_cli.errors import DataError, VocabularySizeError
from nmt_cli.processes.pool import map_ordered
from nmt_cli.recipe.adapting.text_defaults import (
    DEFAULT_WINDOW,
    TextSize,
    default_max_length,
    default_vocabulary_size,
)
from nmt_cli.recipe.schema import Recipe
from nmt_cli.text.lines import read_lines
from nmt_cli.text.normalization import NORMALIZATIONS

_CHUNK_RECORDS = 1024
"""Maximum records of a chunk, which is sampled or skipped as a whole."""
_MIN_CHUNKS_PER_PROCESS = 16
"""Chunks that justify the start of another process."""
_MAX_MEASURED_PAIRS = 20_000
"""Maximum number of pairs whose lengths in tokens are measured."""
_SEED = 1  # not the recipe's, so that runs that differ only in the seed share their data


@dataclass(frozen=True)
class AdaptedTokenizer:
    """A tokenizer, and the settings that follow from the text."""

    tokenizer: Tokenizer
    max_length: int
    """In tokens."""
    length_bounds: list[float] | None = None
    """Given if the recipe has length tags without bounds."""


@dataclass(frozen=True)
class CorpusSize:
    """Size of a corpus."""

    num_records: int
    num_bytes: int
    """Uncompressed."""


def measure_corpora(tasks: list[CorpusTask]) -> dict[str, CorpusSize]:
    """Return the size of each corpus by name. DataError if its files have different numbers of lines."""
    sizes = {}
    with ProgressBar("counting", "records") as progress:
        for task in tasks:
            num_records, num_bytes = 0, 0
            for chunk in read_chunks(task.corpus, task.languages, 64 * _CHUNK_RECORDS):
                num_records += chunk.num_records
                num_bytes += sum(map(len, chunk.columns.values()))
                progress.advance(chunk.num_records)
            sizes[task.name] = CorpusSize(num_records, num_bytes)
    return sizes


def train_tokenizer(
    recipe: Recipe,
    tasks: list[CorpusTask],
    sizes: dict[str, CorpusSize],
    held_out: HeldOutKeys,
    num_processes: int,
    pretrained: Tokenizer | None = None,
) -> AdaptedTokenizer:
    """Train the tokenizer of the recipe, or extend a pretrained one, and measure the text.

    The result does not depend on `num_processes`.

    Raises:
        DataError: The filters keep no pair.
    """
    training = [task for task in tasks if task.is_training]
    num_records = sum(sizes[task.name].num_records for task in training)
    fraction = min(1.0, MAX_CHARACTERS / max(1, sum(sizes[task.name].num_bytes for task in training)))
    num_processes = min(num_processes, 1 + num_records // (_MIN_CHUNKS_PER_PROCESS * _CHUNK_RECORDS))
    normalization = pretrained.normalization if pretrained else recipe.tokenizer.normalization
    pairs: dict[tuple[str, str], None] = {}
    values = {name: Counter[str]() for name in recipe.data.factors}
    num_dropped = Counter[str]()
    with ProgressBar("sampling", "records", num_records) as progress:
        factory = partial(_SampleReader, recipe, normalization, held_out)
        chunks = _sampled_chunks(training, fraction, progress.advance)
        for kept, counts, dropped in map_ordered(num_processes, factory, chunks):
            pairs.update(dict.fromkeys(kept))
            num_dropped.update(dropped)
            for name, counter in counts.items():
                values[name].update(counter)
    if not pairs:
        descriptions = drop_reasons(recipe.data)
        reasons = "; ".join(
            f"{count:,} dropped: {descriptions.get(reason, reason)} ({reason})"
            for reason, count in num_dropped.most_common(3)
        )
        raise DataError(
            f"{', '.join(recipe.data.train)}: no text is left to train the tokenizer on"
            + (f" ({reasons}); see data.filters" if reasons else "; the files are empty")
        )
    monolingual = recipe.tokenizer.monolingual

    def texts() -> list[Iterator[str]]:
        return [
            chain(_lines_of(map(itemgetter(side), pairs)), _normalized_lines(paths, normalization))
            for side, paths in enumerate((monolingual.source, monolingual.target))
        ]

    if pretrained is None:
        info(f"training the tokenizer on {len(pairs):,} {recipe.data.unit}")
        tokenizer = train_adapted(recipe, texts, _SEED, 1 / fraction).with_factors(FactorValues.learn(values))
    else:
        source, target = texts()
        tokenizer = extend(pretrained, recipe.tokenizer, source, target, _SEED)
    sample = list(pairs)[:: -(-len(pairs) // _MAX_MEASURED_PAIRS)]
    bounds = adapted_length_bounds(sample) if needs_length_bounds(recipe) else None
    return AdaptedTokenizer(tokenizer, adapted_max_length(recipe, tokenizer, sample), bounds)


def needs_length_bounds(recipe: Recipe) -> bool:
    """Return whether data.length_bounds follows from the text."""
    return recipe.data.length_tags and recipe.data.length_bounds is None


Texts = Callable[[], Sequence[Iterable[str]]]
"""Returns new iterators over the normalised sources and targets at each call."""


def adapted_vocabulary_sizes(recipe: Recipe, texts: Texts, scale: float) -> list[int]:
    """Return the size that follows from the text for each vocabulary: one, or one for each side.

    Args:
        scale: Size of the whole text, relative to this one.
    """
    num_tags = len(tags_of(recipe.data))
    return [
        default_vocabulary_size(recipe.tokenizer, _text_size(lines, scale), num_tags)
        for lines in _by_vocabulary(recipe, texts)
    ]


def train_adapted(recipe: Recipe, texts: Texts, seed: int, scale: float, is_sample: bool = False) -> Tokenizer:
    """Train a tokenizer. Vocabulary sizes that the recipe does not give follow from the text.

    Args:
        scale: Size of the whole text, relative to this one.
        is_sample: Train with the nearest possible size if these texts do not allow that of the recipe.

    Raises:
        VocabularySizeError: The text does not allow the size that the recipe gives.
    """
    settings, is_given = recipe.tokenizer, recipe.gives("tokenizer.vocabulary_size")
    sizes = [settings.vocabulary_size] * 2 if is_given else adapted_vocabulary_sizes(recipe, texts, scale)
    vocabularies = []
    for side in range(len(_by_vocabulary(recipe, texts))):
        sized = settings.with_value("vocabulary_size", sizes[side])
        try:
            vocabulary = Vocabulary.train(sized, _by_vocabulary(recipe, texts)[side], seed, tags_of(recipe.data))
        except VocabularySizeError as error:
            if is_given and not is_sample:
                raise
            sized = settings.with_value("vocabulary_size", error.possible)
            vocabulary = Vocabulary.train(sized, _by_vocabulary(recipe, texts)[side], seed, tags_of(recipe.data))
        vocabularies.append(vocabulary)
    return Tokenizer(settings.normalization, vocabularies[0], vocabularies[-1])


def _by_vocabulary(recipe: Recipe, texts: Texts) -> Sequence[Iterable[str]]:
    """Return the text of each vocabulary."""
    return [chain.from_iterable(texts())] if recipe.tokenizer.joint else texts()


def adapted_max_length(recipe: Recipe, tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]]) -> int:
    """Return `data.max_length`, which follows from normalised pairs if the recipe does not give it."""
    if recipe.gives("data.max_length"):
        return recipe.data.max_length
    if recipe.data.is_monolingual:
        return DEFAULT_WINDOW
    num_sentences = 1 if recipe.data.context is None else recipe.data.context.sentences + 1
    sources, targets = (
        map(len, vocabulary.encode([pair[side] for pair in pairs]))
        for side, vocabulary in enumerate((tokenizer.source, tokenizer.target))
    )
    return default_max_length(num_sentences * max(lengths) for lengths in zip(sources, targets, strict=True))


def _text_size(lines: Iterable[str], scale: float) -> TextSize:
    counts = Counter(chain.from_iterable(lines))
    total, alphabet, covered = counts.total(), 0, 0
    for _, count in counts.most_common():
        if covered >= CHARACTER_COVERAGE * total:
            break
        alphabet, covered = alphabet + 1, covered + count
    return TextSize(scale * total, alphabet)


def _lines_of(texts: Iterable[str]) -> Iterator[str]:
    """Yield the lines of documents with escaped line breaks, without empty ones."""
    return filter(None, chain.from_iterable(text.split(LINE_BREAK) for text in texts))


def _normalized_lines(paths: list[Path], normalization: str) -> Iterator[str]:
    return map(NORMALIZATIONS[normalization], chain.from_iterable(map(read_lines, paths)))


def _sampled_chunks(
    tasks: list[CorpusTask], fraction: float, on_progress: OnProgress
) -> Iterator[tuple[CorpusTask, RawChunk]]:
    for task in tasks:
        name_hash = zlib.crc32(task.name.encode())
        for chunk in read_chunks(task.corpus, task.languages, _CHUNK_RECORDS):
            if fraction == 1 or np.random.default_rng([_SEED, name_hash, chunk.first]).random() < fraction:
                yield task, chunk
            on_progress(chunk.num_records)


class _SampleReader:
    """Cleans a chunk; returns the kept pairs, the frequency of each value of each factor, and drop counts."""

    def __init__(self, recipe: Recipe, normalization: str, held_out: HeldOutKeys) -> None:
        self._columns = recipe.data.factors
        self._clean = ChunkCleaner(recipe.data, normalization, held_out)

    def __call__(
        self, item: tuple[CorpusTask, RawChunk]
    ) -> tuple[list[tuple[str, str]], dict[str, Counter[str]], Counter[str]]:
        result, drops = self._clean(*item)
        kept, columns = result.kept, result.kept.source_columns
        counts = {name: Counter(value for line in columns[name] for value in words_of(line)) for name in self._columns}
        return list(zip(kept.sources, kept.targets, strict=True)), counts, drops.counts
