"""Select and translate the lines of monolingual text, in a work folder in which an interrupted job continues."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.commands.synthesis.translations import TranslationParts
from nmt_cli.commands.translating.outputs import describe_model
from nmt_cli.console import Reporter
from nmt_cli.data.filters.monolingual import LineStats, held_out_files, line_filters, select_lines
from nmt_cli.data.preparation.corpora import check_file, file_identity
from nmt_cli.data.reading.examples import DropCounts
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.errors import DataError
from nmt_cli.locks import lock_when_free
from nmt_cli.processes import ShardSpec
from nmt_cli.recipe.schema import Recipe

_LINES, _STATS = "lines", "stats.json"


@dataclass(frozen=True)
class MonolingualJob:
    """Monolingual text for a recipe, and how it is translated."""

    recipe: Recipe
    paths: tuple[Path, ...]
    language: str
    """Language of the text: the source or the target language of the recipe."""
    options: TranslateOptions

    def describe_origin(self) -> dict[str, Any]:
        """Return all that the translations depend on, as JSON. DataError if a file is missing."""
        data, options = self.recipe.data, self.options
        for path in (*self.paths, *held_out_files(data)):
            check_file(path)
        return {
            "text": [file_identity(path) for path in self.paths],
            "held_out": [file_identity(path) for path in held_out_files(data)],
            "language": self.language,
            "filters": [each.model_dump(mode="json") for each in line_filters(data, self.language)],
            "normalization": self.recipe.tokenizer.normalization,
            "on_error": data.on_error,
            "models": [describe_model(path) for path in options.models],
            "weights": list(options.weights),
            "overrides": list(options.overrides),
            "languages": [options.source_language, options.target_language],
        }

    def folder(self, work: Path) -> Path:
        """Return the folder of this job in a work folder. Jobs of anything else never use or change it."""
        return work / hashlib.sha256(files.json_bytes(self.describe_origin())).hexdigest()[:16]

    def selected(self, folder: Path, reporter: Reporter) -> tuple[TranslationParts, LineStats]:
        """Return the selected lines. The first job selects them, and all others wait for it."""
        text = folder / "text"
        if not text.exists():
            with lock_when_free(folder / "text.lock", "waiting for another job to filter the text"):
                if not text.exists():
                    self._select(text, reporter)
        stats = files.read_json(text / _STATS)
        drops = DropCounts.from_json(stats)
        return TranslationParts(text / _LINES, stats["kept"], folder), LineStats(stats["read"], stats["kept"], drops)

    def translate(self, parts: TranslationParts, shard: ShardSpec, processes: int | None, reporter: Reporter) -> None:
        """Translate the parts of a shard that are missing."""
        missing, own = parts.missing(shard), parts.of_shard(shard)
        num_lines = parts.count_lines(own)
        done = num_lines - parts.count_lines(missing)
        if done and missing:
            reporter.info(f"{done:,} of {num_lines:,} lines were translated by an earlier job")
        with reporter.progress_bar("translating", "lines", num_lines, done) as bar:
            parts.translate(missing, self.options, processes, bar.advance)

    def _select(self, text: Path, reporter: Reporter) -> None:
        with files.new_folder(text) as unfinished, reporter.progress_bar("reading", "lines") as bar:
            normalization = self.recipe.tokenizer.normalization
            stats = select_lines(
                self.paths, self.language, self.recipe.data, normalization, unfinished / _LINES, bar.advance
            )
            if not stats.num_kept:
                raise DataError(f"{', '.join(map(str, self.paths))}: 0 usable lines of {stats.num_read:,}")
            counts = {"read": stats.num_read, "kept": stats.num_kept}
            files.write_json(unfinished / _STATS, {**counts, **stats.drops.to_json()})
