"""Monolingual text for back-translation and distillation: lines that are worth translating, each once.

The filters of a recipe that can judge one side do so. Lines of the recipe's validation and test sets are dropped, even
if case, accents or punctuation differ, because a model that has read them scores too well.
"""

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from nmt_cli import files
from nmt_cli.console import OnProgress
from nmt_cli.data.arrays import Booleans, Integers
from nmt_cli.data.filters.duplicates import OVERLAP, HeldOutKeys, canonical, first_occurrences
from nmt_cli.data.filters.pipeline import FilterPipeline, KeyFilter, build_filters
from nmt_cli.data.reading import read_pairs
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
from nmt_cli.text.lines import decode_lines, open_text, read_lines
from nmt_cli.text.normalization import is_blank

_CHUNK_LINES = 8192
_MAX_HELD_OUT_FRACTION, _MAX_HELD_OUT_LINES = 0.1, 10
"""Text with more lines of a set, as a fraction and as a number, contains the set, not just common short sentences."""


@dataclass
class LineStats:
    """How many lines were read, dropped and kept. A record is a line of all files together."""

    num_read: int = 0
    num_kept: int = 0
    drops: DropCounts = field(default_factory=DropCounts)


def line_filters(data: Data, language: str) -> list[Filter]:
    """Return those filters of a recipe that can judge a line alone, and one that drops duplicates.

    A line is given to them as both sides of a pair.
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
    """Write the lines of files that the filters keep to `output`, in order, unchanged.

    Args:
        language: Language of the files, the source or target language of `data`.
        normalization: What duplicates and filters see is normalised in this way.
        on_progress: Called with the number of lines that were read.

    Raises:
        DataError: A file cannot be read, has a line that is not UTF-8 (`data.on_error: stop`), or contains a
            validation or test set.
    """
    held_out = HeldOutLines(data, language)
    pipeline = FilterPipeline(line_filters(data, language), (language, language), HeldOutKeys.of(), normalization)
    stats, keys, masks = LineStats(), list[list[Keys]](), list[Booleans]()
    with (
        files.disk_errors(output),
        tempfile.TemporaryDirectory(prefix="lines-", dir=output.parent) as scratch,
        (Path(scratch) / "lines").open("w+b") as kept,
    ):
        for examples in _read_chunks(paths, data.on_error, stats):
            result = pipeline.apply(examples)
            for reason, indices in result.dropped.items():
                _drop(stats, reason, examples, indices)
            is_free = held_out.drop(result.kept.sources)
            _drop(stats, OVERLAP, examples, result.indices[~is_free])
            kept.writelines(f"{examples.sources[index]}\n".encode() for index in result.indices[is_free].tolist())
            keys.append([each[is_free] for each in result.keys])
            masks.append(np.ones(int(is_free.sum()), np.bool_))
            on_progress(len(examples))
        held_out.refuse_sets(paths)
        for index, each in enumerate(pipeline.key_filters):
            first = first_occurrences((chunk[index] for chunk in keys), masks, Path(scratch))
            num_later = sum(int((old & ~new).sum()) for old, new in zip(masks, first, strict=True))
            stats.drops.add(each.name, num_later, [])
            masks = first
        kept.seek(0)
        _write_first(kept, masks, output)
    stats.num_kept = sum(int(mask.sum()) for mask in masks)
    return stats


def _write_first(lines: IO[bytes], masks: Sequence[Booleans], output: Path) -> None:
    with files.new_file(output) as file:
        for mask in masks:
            file.writelines(line for is_kept in mask.tolist() if (line := lines.readline()) and is_kept)


def _drop(stats: LineStats, reason: str, examples: Examples, indices: Integers) -> None:
    stats.drops.add(reason, len(indices), examples.dropped(indices))


def _read_chunks(paths: Sequence[Path], on_error: OnError, stats: LineStats) -> Iterator[Examples]:
    """Yield the lines of files, each as both sides of a pair, and count them. A record is a line of all files."""
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
    """The lines of a recipe's validation and test sets in one language, compared by their letters alone."""

    def __init__(self, data: Data, language: str) -> None:
        sets = {f"valid/{name}": _lines_of_corpus(data, name, language) for name in data.valid}
        sets |= {f"test/{name}": _lines_of_test_set(data, name, language) for name in data.test}
        self._held_out = HeldOutKeys.of(
            (name, ((canonical(line), "") for line in lines if not is_blank(line))) for name, lines in sets.items()
        )
        self._found = np.zeros(len(self._held_out.keys["source"]), np.bool_)

    def drop(self, lines: list[str]) -> Booleans:
        """Return which lines are in no set."""
        keys = text_keys([canonical(line) for line in lines], [], "source")
        is_held_out = self._held_out.contains(keys, "source")
        self._found[np.searchsorted(self._held_out.keys["source"], keys[is_held_out])] = True
        return ~is_held_out

    def refuse_sets(self, paths: Sequence[Path]) -> None:
        """Raise DataError if so many lines of a set were dropped that the files contain the set."""
        owners = self._held_out.set_indices["source"]
        for index, name in enumerate(self._held_out.names):
            size, found = int((owners == index).sum()), int(self._found[owners == index].sum())
            if found > max(_MAX_HELD_OUT_LINES, _MAX_HELD_OUT_FRACTION * size) or 0 < found == size:
                raise DataError(
                    f"{', '.join(map(str, paths))}: contains {found:,} of the {size:,} different lines of {name}; "
                    "scores on that set would mean nothing, so give text without it"
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
