"""Training the tokenizer on a sample of the pairs that the filters keep. Equal pairs count once."""

import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from nmt_cli.console import OnProgress, ProgressBar, info
from nmt_cli.data.alignments import words_of
from nmt_cli.data.filters.duplicates import HeldOutKeys
from nmt_cli.data.preparation.corpora import CorpusTask
from nmt_cli.data.preparation.encoding import ChunkCleaner, drop_reasons
from nmt_cli.data.reading import RawChunk, read_chunks
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.extension import extend
from nmt_cli.data.tokenizing.sentencepiece_model import MAX_CHARACTERS
from nmt_cli.data.tokenizing.tags import tags_of
from nmt_cli.data.tokenizing.vocabulary import FactorValues
from nmt_cli.errors import DataError
from nmt_cli.processes.pool import map_ordered
from nmt_cli.recipe.schema import Recipe
from nmt_cli.text.lines import read_lines
from nmt_cli.text.normalization import NORMALIZATIONS

_CHUNK_RECORDS = 1024
"""Records of a chunk, which is sampled or skipped as a whole."""
_MIN_CHUNKS_PER_PROCESS = 16
"""Fewer chunks are not worth the start of another process."""
_SEED = 1  # not the recipe's, so that runs that differ only in the seed share their data


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
) -> Tokenizer:
    """Train the tokenizer of the recipe, or extend a pretrained one. The result does not depend on `num_processes`.

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
            for name, of_chunk in counts.items():
                values[name].update(of_chunk)
    if not pairs:
        why = drop_reasons(recipe.data)
        reasons = "; ".join(
            f"{count:,} dropped: {why.get(reason, reason)} ({reason})" for reason, count in num_dropped.most_common(3)
        )
        raise DataError(
            f"{', '.join(recipe.data.train)}: no pair is left to train the tokenizer on"
            + (f" ({reasons}); see data.filters" if reasons else "; the files are empty")
        )
    info(f"training the tokenizer on {len(pairs):,} pairs")
    monolingual = recipe.tokenizer.monolingual
    sources = chain((source for source, _ in pairs), _normalized_lines(monolingual.source, normalization))
    targets = chain((target for _, target in pairs), _normalized_lines(monolingual.target, normalization))
    if pretrained:
        return extend(pretrained, recipe.tokenizer, sources, targets, _SEED)
    tokenizer = Tokenizer.train(recipe.tokenizer, sources, targets, _SEED, tags_of(recipe.data))
    return tokenizer.with_factors(FactorValues.learn(values))


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
