"""Selection of the text for back-translation and distillation: monolingual lines, or the training pairs of a recipe.

Monolingual lines pass the filters of the recipe that judge a single side. Lines of its validation and test sets are
dropped, even if case, accents or punctuation differ, because the scores of a model trained on them would be too high.
Duplicates are dropped.
"""

import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from nmt_cli import files
from nmt_cli.console import OnProgress
from nmt_cli.data.arrays import Booleans, Integers
from nmt_cli.data.filters.duplicates import OVERLAP, HeldOutKeys, canonical, first_occurrences
from nmt_cli.data.filters.pipeline import FilterPipeline, KeyFilter, build_filters
from nmt_cli.data.preparation.corpora import corpus_tasks
from nmt_cli.data.preparation.preparing import held_out_keys
from nmt_cli.data.reading import read_examples, read_pairs
from nmt_cli.data.reading.examples import DropCounts, DroppedExample, Examples, Keys, OnError, text_keys
from nmt_cli.errors import DataError
from nmt_cli.recipe.data import Data
from nmt_cli.recipe.filters import (
    DuplicatesFilter,
    Filter,
    LanguageFilter,
    LengthFilter,
    NearDuplicatesFilter,
    ScriptFilter,
)
from nmt_cli.recipe.schema import Recipe
from nmt_cli.text.lines import decode_lines, open_text, read_lines
from nmt_cli.text.normalization import is_blank, one_line

_CHUNK_LINES = 8192
_MAX_HELD_OUT_FRACTION, _MAX_HELD_OUT_LINES = 0.1, 10
"""Text with more lines of a set than both this fraction and this number is taken to contain the set. Fewer lines may be
common short sentences."""


@dataclass
class LineStats:
    """How many lines or pairs were read, dropped and kept."""

    num_read: int = 0
    num_kept: int = 0
    drops: DropCounts = field(default_factory=DropCounts)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for a manifest."""
        return {"read": self.num_read, "kept": self.num_kept, **self.drops.to_json()}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """Convert the result of `to_json` back."""
        return cls(entry["read"], entry["kept"], DropCounts.from_json(entry))


def line_filters(data: Data, language: str) -> list[Filter]:
    """Return the filters of a recipe that can judge a single line, and one that drops duplicates.

    They expect a pair of which both sides are the line.
    """
    found: list[Filter] = []
    is_target = language == data.target_language
    for each in data.filters:
        match each:
            case LengthFilter() | ScriptFilter():
                found.append(each)
            case NearDuplicatesFilter():
                found.append(each.model_copy(update={"compare": "source"}))
            case LanguageFilter() if each.sides in ("both", "target" if is_target else "source"):
                code = (each.target if is_target else each.source) or language
                found.append(each.model_copy(update={"source": code, "target": None, "sides": "source"}))
    return [*found, DuplicatesFilter(compare="source")]


def line_drop_reasons(data: Data, language: str) -> dict[str, str]:
    """Return the description of each reason to drop a line, in the order in which the reasons are checked."""
    built = build_filters(line_filters(data, language), (language, language), HeldOutKeys.of())
    local = {each.name: each.description for each in built if not isinstance(each, KeyFilter)}
    keyed = {each.name: each.description for each in built if isinstance(each, KeyFilter)}
    overlap = {OVERLAP: "nearly the same line is in a validation or test set"}
    descriptions = {"not_utf8": "the line is not UTF-8", **local, **overlap, **keyed}
    return {name: text.replace("a side", "the line").replace("source", "line") for name, text in descriptions.items()}


def select_lines(
    paths: Sequence[Path],
    language: str,
    data: Data,
    normalization: str,
    output: Path,
    on_progress: OnProgress = lambda lines: None,
) -> LineStats:
    """Write the lines of files that the filters keep to `output`, in order, not normalised.

    Args:
        language: Language of the files, the source or target language of `data`.
        normalization: Normalisation of the lines that filters judge and compare.
        on_progress: Called with the number of lines that were read.

    Raises:
        DataError: A file cannot be read, has a line that is not UTF-8 (`data.on_error: stop`), or contains a
            validation or test set.
    """
    held_out, stats = HeldOutLines(data, language), LineStats()
    filters = line_filters(data, language)
    pipeline = FilterPipeline(filters, (language, language), HeldOutKeys.of(), normalization)
    with UniqueText.open([output]) as selected:
        for examples in _read_chunks(paths, data.on_error, stats):
            result = pipeline.apply(examples)
            for reason, indices in result.dropped.items():
                _drop(stats, reason, examples, indices)
            is_new = ~held_out.contains(result.kept.sources)
            _drop(stats, OVERLAP, examples, result.indices[~is_new])
            lines = [examples.sources[index] for index in result.indices[is_new].tolist()]
            selected.add([lines], [each[is_new] for each in result.keys])
            on_progress(len(examples))
        held_out.check_contains_no_set(paths)
        stats.num_kept = selected.write([each.name for each in pipeline.key_filters], stats.drops)
    return stats


def select_pairs(
    recipe: Recipe, sources: Path, targets: Path, on_progress: OnProgress = lambda pairs: None
) -> LineStats:
    """Write the pairs of all training corpora that the recipe's filters keep to two files, in order, not normalised.

    Raises:
        DataError: A file cannot be read, or has an invalid record (`data.on_error: stop`).
    """
    data, normalization, stats = recipe.data, recipe.tokenizer.normalization, LineStats()
    tasks = [task for task in corpus_tasks(recipe) if task.is_training]
    held_out = held_out_keys(recipe, normalization)
    with UniqueText.open([sources, targets]) as selected:
        for task in tasks:
            name = task.name.partition("/")[2]
            pipeline = FilterPipeline(data.filters, task.languages, held_out, normalization, name)
            for examples, drops in read_examples(task.corpus, task.languages, data.on_error):
                stats.num_read += len(examples) + drops.counts.total()
                stats.drops.merge(drops)
                result = pipeline.apply(examples)
                for reason, indices in result.dropped.items():
                    _drop(stats, reason, examples, indices)
                sides, indices = (examples.sources, examples.targets), result.indices.tolist()
                selected.add([[side[index] for index in indices] for side in sides], result.keys)
                on_progress(len(examples))
        stats.num_kept = selected.write([each.name for each in pipeline.key_filters], stats.drops)
    return stats


class UniqueText:
    """Writes parallel lines to files, without those whose key occurred before. Uses 8 bytes of memory per key."""

    def __init__(self, outputs: Sequence[Path], folder: Path, files: Sequence[IO[bytes]]) -> None:
        self._outputs, self._folder, self._files = outputs, folder, files
        self._keys, self._masks = list[list[Keys]](), list[Booleans]()

    @classmethod
    @contextmanager
    def open(cls, outputs: Sequence[Path]) -> "Iterator[UniqueText]":
        """Open temporary files beside the outputs."""
        with files.disk_errors(outputs[0]), ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lines-", dir=outputs[0].parent))
            paths = [Path(folder) / str(index) for index in range(len(outputs))]
            yield cls(outputs, Path(folder), [stack.enter_context(path.open("w+b")) for path in paths])

    def add(self, columns: Sequence[list[str]], keys: list[Keys]) -> None:
        """Add lines, one list for each file, with the keys of each filter."""
        for file, lines in zip(self._files, columns, strict=True):
            file.write("".join(f"{one_line(line)}\n" for line in lines).encode())
        self._keys.append(keys)
        self._masks.append(np.ones(len(columns[0]), np.bool_))

    def write(self, reasons: Sequence[str], drops: DropCounts) -> int:
        """Write the files, and return the number of lines.

        Args:
            reasons: The name of each filter whose keys were added.
            drops: The lines that are left out are added to it.
        """
        masks = self._masks
        for index, reason in enumerate(reasons):
            first = first_occurrences((keys[index] for keys in self._keys), masks, self._folder)
            drops.add(reason, sum(int((old & ~new).sum()) for old, new in zip(masks, first, strict=True)), [])
            masks = first
        for file, output in zip(self._files, self._outputs, strict=True):
            file.seek(0)
            with files.new_file(output) as written:
                for mask in masks:
                    lines = [file.readline() for _ in range(len(mask))]
                    written.writelines(compress(lines, mask.tolist()))
        return sum(int(mask.sum()) for mask in masks)


def _drop(stats: LineStats, reason: str, examples: Examples, indices: Integers) -> None:
    stats.drops.add(reason, len(indices), examples.dropped(indices))


def _read_chunks(paths: Sequence[Path], on_error: OnError, stats: LineStats) -> Iterator[Examples]:
    """Yield the lines of files, each as both sides of a pair, and count them. Record numbers continue across files."""
    lines, records = list[str](), list[int]()
    for line, is_valid in itertools.chain.from_iterable(_read(path, on_error) for path in paths):
        stats.num_read += 1
        if not is_valid:
            stats.drops.add("not_utf8", 1, [DroppedExample.shortened(stats.num_read, line, line)])
            continue
        lines.append(line)
        records.append(stats.num_read)
        if len(lines) == _CHUNK_LINES:
            yield Examples(lines, lines, records)
            lines, records = [], []
    if lines:
        yield Examples(lines, lines, records)


def _read(path: Path, on_error: OnError) -> Iterator[tuple[str, bool]]:
    """Yield each line of a file, and whether it is UTF-8."""
    if on_error == "stop":
        yield from ((line, True) for line in read_lines(path))
        return
    with open_text(path) as stream:
        invalid = list[int]()
        for line in decode_lines(stream, str(path), invalid.append):
            yield line, not invalid
            invalid.clear()


def held_out_files(data: Data) -> list[Path]:
    """Return the files of all validation and test sets."""
    valid = [path for corpus in data.valid.values() for path in corpus.files.values()]
    return valid + [path for test in data.test.values() for path in (test.source, *test.target)]


class HeldOutLines:
    """Lines of a recipe's validation and test sets in one language, compared by letters without case and accents."""

    def __init__(self, data: Data, language: str) -> None:
        sets = {f"valid/{name}": _lines_of_corpus(data, name, language) for name in data.valid}
        sets |= {f"test/{name}": _lines_of_test_set(data, name, language) for name in data.test}
        self._held_out = HeldOutKeys.of(
            (name, ((canonical(line), "") for line in lines if not is_blank(line))) for name, lines in sets.items()
        )
        self._found = np.zeros(len(self._held_out.keys["source"]), np.bool_)

    def contains(self, lines: list[str]) -> Booleans:
        """Return whether each line is in a set, and count it as found there."""
        keys = text_keys([canonical(line) for line in lines], [], "source")
        is_held_out = self._held_out.contains(keys, "source")
        self._found[np.searchsorted(self._held_out.keys["source"], keys[is_held_out])] = True
        return is_held_out

    def check_contains_no_set(self, paths: Sequence[Path]) -> None:
        """Raise DataError if so many lines of a set were found that the files probably contain the whole set."""
        owners = self._held_out.set_indices["source"]
        for index, name in enumerate(self._held_out.names):
            size, found = int((owners == index).sum()), int(self._found[owners == index].sum())
            if found > max(_MAX_HELD_OUT_LINES, _MAX_HELD_OUT_FRACTION * size) or 0 < found == size:
                raise DataError(
                    f"{', '.join(map(str, paths))}: contains {found:,} of the {size:,} different lines of {name}; "
                    "scores on that set would be meaningless; remove its lines from the text"
                )


def _lines_of_corpus(data: Data, name: str, language: str) -> Iterator[str]:
    corpus = data.valid[name]
    languages = data.languages_of(corpus)
    for pair in read_pairs(corpus, languages, data.on_error):
        yield from (side for side, code in zip(pair, languages, strict=True) if code == language)


def _lines_of_test_set(data: Data, name: str, language: str) -> Iterator[str]:
    test = data.test[name]
    source_language, target_language = data.languages_of(test)
    for code, paths in ((source_language, [test.source]), (target_language, test.target)):
        for path in paths if code == language else []:
            yield from read_lines(path)
