"""Select text and translate it, in a work folder in which a later job continues."""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from nmt_cli import files
from nmt_cli.commands.synthesis.translations import TranslationParts
from nmt_cli.commands.translating.outputs import describe_model
from nmt_cli.console import OnProgress, Reporter
from nmt_cli.data.preparation.corpora import check_file, data_settings, file_identity, input_files
from nmt_cli.data.preparation.encoding import drop_reasons
from nmt_cli.data.preparation.manifest import drop_stats
from nmt_cli.data.preparation.text_selection import (
    LineStats,
    held_out_files,
    line_drop_reasons,
    line_filters,
    select_lines,
    select_pairs,
)
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.errors import DataError
from nmt_cli.locks import lock_when_free
from nmt_cli.processes import ShardSpec
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.data_report import describe_drops

_MAX_COUNTED_BYTES = 500_000_000
"""Size of the files up to which a dry run reads them; it takes about a minute."""
_LINES, _REFERENCES, _STATS = "lines", "references", "stats.json"


class TextToTranslate(Protocol):
    """Text from which the lines to translate are selected."""

    name: str
    """In messages and as the name of its folder, such as `text`."""
    reasons: Mapping[str, str]
    """The description of each reason to drop a line or pair, in the order in which the reasons are checked."""

    @property
    def files(self) -> Sequence[Path]:
        """The files of the text."""

    def describe_origin(self) -> dict[str, Any]:
        """Return all that the selected lines depend on, as JSON. DataError if a file is missing."""

    def select(self, lines: Path, references: Path, on_progress: OnProgress) -> LineStats:
        """Write the selected lines, and their references if there are any."""


class MonolingualLines:
    """Files in one language, the source or the target language of a recipe."""

    name = "text"

    def __init__(self, recipe: Recipe, paths: tuple[Path, ...], language: str) -> None:
        self._recipe, self._paths, self._language = recipe, paths, language
        self.reasons: Mapping[str, str] = line_drop_reasons(recipe.data, language)

    @property
    def files(self) -> Sequence[Path]:
        return self._paths

    def describe_origin(self) -> dict[str, Any]:
        data = self._recipe.data
        for path in (*self._paths, *held_out_files(data)):
            check_file(path)
        return {
            "text": [file_identity(path) for path in self._paths],
            "held_out": [file_identity(path) for path in held_out_files(data)],
            "language": self._language,
            "filters": [each.model_dump(mode="json") for each in line_filters(data, self._language)],
            "normalization": self._recipe.tokenizer.normalization,
            "on_error": data.on_error,
        }

    def select(self, lines: Path, references: Path, on_progress: OnProgress) -> LineStats:
        normalization = self._recipe.tokenizer.normalization
        return select_lines(self._paths, self._language, self._recipe.data, normalization, lines, on_progress)


class TrainingPairs:
    """The training corpora of a recipe: sources to translate, and their references."""

    name = "pairs"

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.reasons: Mapping[str, str] = drop_reasons(recipe.data)

    @property
    def files(self) -> Sequence[Path]:
        return [path for corpus in self._recipe.data.train.values() for path in corpus.files.values()]

    def describe_origin(self) -> dict[str, Any]:
        inputs = {name: file_identity(path) for name, path in input_files(self._recipe).items()}
        return {"inputs": inputs, "settings": data_settings(self._recipe, "")}

    def select(self, lines: Path, references: Path, on_progress: OnProgress) -> LineStats:
        return select_pairs(self._recipe, lines, references, on_progress)


@dataclass(frozen=True)
class SelectedText:
    """Lines to translate, and what was left out."""

    lines: Path
    references: Path
    """Line n is the reference of line n, if the text has references."""
    stats: LineStats


@dataclass(frozen=True)
class TranslationJob:
    """Text, and how it is translated."""

    text: TextToTranslate
    options: TranslateOptions

    @cached_property
    def origin(self) -> dict[str, Any]:
        """All that the translations depend on, as JSON, when it was first read. DataError if a file is missing."""
        return self.describe_origin()

    def describe_origin(self) -> dict[str, Any]:
        """Return the origin as it is now."""
        options = self.options
        return {
            **self.text.describe_origin(),
            "models": [describe_model(path, options.overrides) for path in options.models],
            "weights": list(options.weights),
            "overrides": list(options.overrides),
            "languages": [options.source_language, options.target_language],
        }

    def run(
        self, work: Path, shard: ShardSpec, processes: int | None, reporter: Reporter
    ) -> tuple[SelectedText, TranslationParts]:
        """Select the lines and translate those of a shard, unless an earlier job did.

        Args:
            work: The work folder. Jobs with another origin never use or change the folder of this one.
        """
        folder = work / f"{self.text.name}-{hashlib.sha256(files.json_bytes(self.origin)).hexdigest()[:16]}"
        selected = self._selected(folder, reporter)
        parts = TranslationParts(selected.lines, selected.stats.num_kept, folder)
        missing, num_lines = parts.missing(shard), parts.count_lines(parts.of_shard(shard))
        done = num_lines - parts.count_lines(missing)
        if done and missing:
            reporter.info(f"{done:,} of {num_lines:,} lines were translated by an earlier job")
        with reporter.progress_bar("translating", "lines", num_lines, done) as bar:
            parts.translate(missing, self.options, processes, bar.advance)
        return selected, parts

    def report_count(self, reporter: Reporter) -> None:
        """Report how many lines would be translated, which are counted unless the text is very large."""
        with tempfile.TemporaryDirectory(prefix="nmt-") as folder, reporter.progress_bar("reading", self._unit) as bar:
            size = sum(path.stat().st_size for path in self.text.files)
            if size > _MAX_COUNTED_BYTES:
                reporter.info(f"{self.text.name}: {size / 1e9:.1f} GB, too much to count the {self._unit} in a dry run")
                return
            stats = self.text.select(Path(folder) / _LINES, Path(folder) / _REFERENCES, bar.advance)
        reporter.info(f"{self.text.name}: {stats.num_kept:,} of {stats.num_read:,} {self._unit} would be translated")

    def _selected(self, folder: Path, reporter: Reporter) -> SelectedText:
        """Return the selected text. The first job selects it, and all others wait for it."""
        text = folder / "text"
        if not text.exists():
            with lock_when_free(folder / "text.lock", "waiting for another job to filter the text"):
                if not text.exists():
                    self._select(text, reporter)
        stats = LineStats.from_json(files.read_json(text / _STATS))
        return SelectedText(text / _LINES, text / _REFERENCES, stats)

    def _select(self, folder: Path, reporter: Reporter) -> None:
        with files.new_folder(folder) as unfinished, reporter.progress_bar("reading", self._unit) as bar:
            stats = self.text.select(unfinished / _LINES, unfinished / _REFERENCES, bar.advance)
            if not stats.num_kept:
                raise DataError(f"{self.text.name}: 0 usable {self._unit} of {stats.num_read:,}")
            files.write_json(unfinished / _STATS, stats.to_json())
        for line in describe_drops(
            self.text.name, self._unit, stats.num_read, drop_stats(stats.drops, self.text.reasons)
        ):
            reporter.info(line)

    @property
    def _unit(self) -> str:
        return "pairs" if isinstance(self.text, TrainingPairs) else "lines"
