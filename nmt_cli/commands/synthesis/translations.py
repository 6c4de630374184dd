"""Translate a file of lines in parts. Each part appears when it is complete, so that a later job makes only the others.

A part has always the same lines and is translated as one window, whatever the number of jobs and processes, so that
its content depends on neither.
"""

import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.commands.translating.workers import TranslatorFactory, Window, open_workers
from nmt_cli.console import OnProgress
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.errors import DataError
from nmt_cli.processes import ShardSpec
from nmt_cli.text.lines import read_lines

PART_LINES = 2048
"""Lines of a part: as many as `nmt translate` translates together."""


@dataclass(frozen=True)
class Candidate:
    """One of the translations of a line."""

    text: str
    score: float
    """Log-probability, normalised by length as the settings of the search say."""


@dataclass(frozen=True)
class TranslatedLine:
    """A line and its translations, best first."""

    source: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class TranslationParts:
    """The translations of a file, in a folder."""

    lines: Path
    """One line of text each, none of them blank."""
    num_lines: int
    folder: Path

    @property
    def num_parts(self) -> int:
        """Number of parts."""
        return -(-self.num_lines // PART_LINES)

    def of_shard(self, shard: ShardSpec) -> range:
        """Return the indices of the parts of a shard."""
        return range(shard.index - 1, self.num_parts, shard.count)

    def missing(self, shard: ShardSpec) -> list[int]:
        """Return the indices of the parts of a shard that are not there yet."""
        return [index for index in self.of_shard(shard) if not self._path(index).exists()]

    def count_lines(self, indices: Iterable[int]) -> int:
        """Return the number of lines of some parts."""
        return sum(min(PART_LINES, self.num_lines - index * PART_LINES) for index in indices)

    def translate(
        self, indices: list[int], options: TranslateOptions, processes: int | None, on_progress: OnProgress
    ) -> None:
        """Make some parts. `on_progress` is called with numbers of translated lines."""
        if not indices:
            return
        with open_workers(TranslatorFactory(options, "jsonl"), processes) as translate_windows:
            results = translate_windows(self._windows(indices), on_progress)
            for index, result in zip(indices, results, strict=True):
                with files.new_file(self._path(index)) as file:
                    file.write(result.output)

    def read(self) -> Iterator[list[TranslatedLine]]:
        """Yield the lines of each part with their translations. DataError if a part is damaged."""
        for index in range(self.num_parts):
            path = self._path(index)
            translated = None
            with suppress(ValueError, KeyError, TypeError):
                translated = [_parse(line) for line in read_lines(path)]
            if translated is None or len(translated) != self.count_lines([index]):
                raise DataError(f"{path}: is damaged; remove it, and run the same command again")
            yield translated

    def _windows(self, indices: list[int]) -> Iterator[Window]:
        wanted, lines = set(indices), read_lines(self.lines)
        for index in range(indices[-1] + 1):
            part = list(itertools.islice(lines, PART_LINES))
            if index in wanted:
                yield Window(index * PART_LINES + 1, [Request(line) for line in part])

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:07}.jsonl"


def _parse(line: str) -> TranslatedLine:
    record: dict[str, Any] = json.loads(line)
    found = record.get("hypotheses") or [record]
    return TranslatedLine(
        record["source"], tuple(Candidate(each["hypothesis"], float(each["score"])) for each in found)
    )
