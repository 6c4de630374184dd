"""The tokenizer is learned from a sample of what the filters leave; equal pairs count once."""

import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from nmt_cli.console import ProgressBar, info
from nmt_cli.data.alignments import words_of
from nmt_cli.data.filters import HeldOut
from nmt_cli.data.preparation.corpora import Task
from nmt_cli.data.preparation.sieve import Sieves
from nmt_cli.data.reading import RawChunk, read_chunks
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.extension import extend
from nmt_cli.data.tokenizing.sentencepiece_training import MAX_CHARACTERS
from nmt_cli.data.tokenizing.tags import tags_of
from nmt_cli.data.tokenizing.vocabulary import FactorValues
from nmt_cli.errors import DataError
from nmt_cli.processes import map_ordered
from nmt_cli.recipe.schema import Recipe
from nmt_cli.text.lines import read_lines
from nmt_cli.text.normalization import NORMALIZATIONS

_CHUNK = 1024
"""Records that are taken or left together."""
_ENOUGH = 16
"""Chunks for which it is worth to start another process."""
_SEED = 1  # not the recipe's: runs that differ in seed alone share their data


@dataclass(frozen=True)
class _Sampled:
    """What is left of a chunk."""

    pairs: list[tuple[str, str]]
    values: dict[str, Counter[str]]
    """How often each factor has each value."""


@dataclass(frozen=True)
class Size:
    """How large a corpus is."""

    records: int
    bytes: int
    """Of text, unpacked."""


def measure(tasks: list[Task]) -> dict[str, Size]:
    """The size of each corpus; DataError if its files do not go together."""
    found = {}
    with ProgressBar("counting", "records") as progress:
        for task in tasks:
            records, length = 0, 0
            for chunk in read_chunks(task.corpus, task.languages, 64 * _CHUNK):
                records, length = records + chunk.rows, length + sum(map(len, chunk.columns.values()))
                progress.advance(chunk.rows)
            found[task.name] = Size(records, length)
    return found


def learn(
    recipe: Recipe,
    tasks: list[Task],
    sizes: dict[str, Size],
    held_out: HeldOut,
    processes: int,
    taken: Tokenizer | None = None,
) -> Tokenizer:
    """A tokenizer as the recipe says, or one that was taken over with more subwords; the same for any `processes`."""
    learned = [task for task in tasks if task.is_learned]
    total = sum(sizes[task.name].records for task in learned)
    length = sum(sizes[task.name].bytes for task in learned)
    share, processes = min(1.0, MAX_CHARACTERS / max(1, length)), min(processes, 1 + total // (_ENOUGH * _CHUNK))
    normalization = taken.normalization if taken else recipe.tokenizer.normalization
    sample: dict[tuple[str, str], None] = {}
    values = {name: Counter[str]() for name in recipe.data.factors}
    with ProgressBar("sampling", "records", total) as progress:
        opener = partial(_Sampler, recipe, normalization, held_out)
        for sampled in map_ordered(processes, opener, _chosen(learned, share, progress)):
            sample.update(dict.fromkeys(sampled.pairs))
            for name, counts in sampled.values.items():
                values[name].update(counts)
    if not sample:
        raise DataError(f"{', '.join(recipe.data.train)}: no pair is left to learn subwords from; see data.filters")
    info(f"learning subwords from {len(sample):,} pairs")
    more = recipe.tokenizer.more_text
    sources = chain((source for source, _ in sample), _lines(more.source, normalization))
    targets = chain((target for _, target in sample), _lines(more.target, normalization))
    if taken:
        return extend(taken, recipe.tokenizer, sources, targets, _SEED)
    tokenizer = Tokenizer.train(recipe.tokenizer, sources, targets, _SEED, tags_of(recipe.data))
    return tokenizer.with_factors(FactorValues.learn(values))


def _lines(paths: list[Path], normalization: str) -> Iterator[str]:
    """Text without translation, normalised."""
    return map(NORMALIZATIONS[normalization], chain.from_iterable(map(read_lines, paths)))


@dataclass(frozen=True)
class _Chosen:
    task: Task
    chunk: RawChunk


def _chosen(tasks: list[Task], share: float, progress: ProgressBar) -> Iterator[_Chosen]:
    for task in tasks:
        name = zlib.crc32(task.name.encode())
        for chunk in read_chunks(task.corpus, task.languages, _CHUNK):
            if share == 1 or np.random.default_rng([_SEED, name, chunk.first]).random() < share:
                yield _Chosen(task, chunk)
            progress.advance(chunk.rows)


class _Sampler:
    """What is left of chunks of any corpus."""

    def __init__(self, recipe: Recipe, normalization: str, held_out: HeldOut) -> None:
        self._data = recipe.data
        self._sieves = Sieves(recipe.data, normalization, held_out)

    def __call__(self, chosen: _Chosen) -> _Sampled:
        sieved = self._sieves.of(chosen.task)(chosen.chunk)
        values = {name: Counter[str]() for name in self._data.factors}
        for name, counts in values.items():
            lines = sieved.records.factors[name]
            counts.update(value for place in sieved.places for value in words_of(lines[place]))
        return _Sampled(list(zip(sieved.rows.sources, sieved.rows.targets, strict=True)), values)
