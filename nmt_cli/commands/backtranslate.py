"""nmt backtranslate: make sources for monolingual target text with a model of the reverse direction."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt_cli import console
from nmt_cli.commands.synthesis.corpus_files import CorpusFolder
from nmt_cli.commands.synthesis.folder_job import up_to_date, write_folder
from nmt_cli.commands.synthesis.recipes import check_extensible, count_training_pairs, translate_options, with_corpus
from nmt_cli.commands.synthesis.selection import PairSelection
from nmt_cli.commands.synthesis.translation_job import MonolingualLines, TranslationJob
from nmt_cli.commands.synthesis.translations import TranslationParts
from nmt_cli.commands.translate import raise_on_signals
from nmt_cli.console import Reporter
from nmt_cli.data.preparation.text_selection import LineStats
from nmt_cli.data.reading.examples import Examples
from nmt_cli.processes import ALL_SHARDS, ShardSpec
from nmt_cli.recipe.loading import given_yaml, load_recipe
from nmt_cli.recipe.schema import Recipe

_MAX_REAL_WEIGHT = 8
"""Real pairs are repeated until they are as many as the others, but at most this often in an epoch."""


@dataclass(frozen=True)
class BacktranslateOptions:
    """What to translate, how, and what to keep."""

    model: Path
    """Translates from the target language of the recipe into its source language."""
    text: tuple[Path, ...]
    """Files in the target language, one sentence on each line."""
    output: Path
    """Folder to write."""
    decoding: tuple[str, ...] = ()
    """Settings of the search, as KEY=VALUE of the section `decoding`."""
    name: str = "backtranslated"
    """Name of the new corpus."""
    tag: str | None = "bt"
    """Tag of the new corpus; None: none."""
    min_score: float | None = None
    """Minimum score of a translation."""
    suffix: str | None = None
    """Ends the names of the new recipe's run and prepared data; None: the name of the corpus."""


@dataclass(frozen=True)
class BacktranslateResult:
    """The new corpus; of a shard only what was translated."""

    lines: int
    """Lines of the monolingual text."""
    selected: int
    """Lines that were translated."""
    pairs: int
    """Pairs of the corpus; 0 if it is not complete."""
    recipe: Path | None
    """The recipe that trains on it; None if it is not complete."""


def backtranslate(
    recipe_path: Path,
    overrides: tuple[str, ...],
    options: BacktranslateOptions,
    shard: ShardSpec = ALL_SHARDS,
    processes: int | None = None,
    dry_run: bool = False,
    reporter: Reporter = console,
) -> BacktranslateResult | None:
    """Translate monolingual text into the source language; write the pairs and a recipe that trains on them, too.

    Does nothing if the folder is complete and would become the same. An interrupted job continues where it was.

    Args:
        shard: The part of the text to translate. Only all shards together write the folder.
        processes: Number of processes; None: one per GPU, else one.

    Returns:
        None after a dry run.

    Raises:
        RecipeError: The options do not fit the recipe or the model.
        DataError: The text contains a validation or test set, or nothing usable.
    """
    work = _Backtranslation(load_recipe(recipe_path, overrides), recipe_path, options)
    with raise_on_signals():
        return work.run(shard, processes, dry_run, reporter)


class _Backtranslation:
    """Back-translation of one text for one recipe."""

    def __init__(self, recipe: Recipe, recipe_path: Path, options: BacktranslateOptions) -> None:
        data = recipe.data
        check_extensible(recipe, options.name, options.tag)
        languages = (data.target_language, data.source_language)
        overrides = [f"decoding.{setting}" for setting in options.decoding]
        translate = translate_options([options.model], languages, "--model", overrides)
        self._recipe, self._recipe_path, self._options = recipe, recipe_path, options
        self._job = TranslationJob(MonolingualLines(recipe, options.text, data.target_language), translate)
        self._folder = CorpusFolder(options.output, languages[::-1])
        self._changed_recipe({})  # reports an impossible name before any work

    def run(
        self, shard: ShardSpec, processes: int | None, dry_run: bool, reporter: Reporter
    ) -> BacktranslateResult | None:
        self._folder.check()
        origin = self._origin(self._job.origin)
        if (manifest := up_to_date(self._folder, origin, dry_run, reporter)) is not None:
            return None if dry_run else self._result(manifest)
        plan = f"{', '.join(map(str, self._options.text))} with {self._options.model} for {self._folder.path}"
        reporter.info(f"{'would translate' if dry_run else 'translating'} {plan}")
        if dry_run:
            self._job.report_count(reporter)
            return None
        translated, manifest = write_folder(
            self._folder,
            origin,
            shard,
            lambda work: [self._job.run(work, shard, processes, reporter)],
            lambda done: self._write(done[0][1], done[0][0].stats, origin, reporter),
            reporter,
        )
        if manifest is not None:
            return self._result(manifest)
        stats = translated[0][0].stats
        return BacktranslateResult(stats.num_read, stats.num_kept, 0, None)

    def _write(self, parts: TranslationParts, stats: LineStats, origin: dict[str, Any], reporter: Reporter) -> None:
        selection = PairSelection(self._recipe, "source", self._options.min_score)

        def describe() -> tuple[str, dict[str, Any]]:
            selection.require_any(self._folder.path)
            self._folder.require_unchanged(origin, self._origin(self._job.describe_origin()))
            contents = {"origin": origin, "lines": stats.to_json(), "pairs": selection.stats.to_json()}
            return self._new_recipe(selection.stats.num_kept), contents

        self._folder.write(map(selection.select, _pairs(parts)), describe)
        selection.report(self._options.name, reporter)

    def _new_recipe(self, num_pairs: int) -> str:
        """Return the recipe with the new corpus. Real pairs are repeated to be as many as the others."""
        recipe, options = self._recipe, self._options
        num_real = count_training_pairs(recipe)
        factor = min(_MAX_REAL_WEIGHT, max(1, round(num_pairs / num_real)))
        weights = {name: factor * corpus.weight for name, corpus in recipe.data.train.items()} if factor > 1 else {}
        head = (
            f"{self._recipe_path} with back-translations, written by nmt backtranslate.\n"
            f"nmt preprocess {self._folder.recipe} && nmt train {self._folder.recipe}"
        )
        about = f"{num_pairs:,} lines of {', '.join(map(str, options.text))}, translated by {options.model}"
        if options.tag:
            about += f"\nthe model reads <{options.tag}> before each source, but not before what it translates later"
        comments = {(): head, ("data", "train", options.name): about}
        if weights:
            real = f"{num_real:,} real pairs, used {factor} times in each epoch to balance the back-translations"
            comments["data", "train", next(iter(recipe.data.train))] = real
        return given_yaml(self._changed_recipe(weights), comments)

    def _changed_recipe(self, weights: dict[str, float]) -> Recipe:
        options = self._options
        section = self._folder.section(options.tag)
        return with_corpus(self._recipe, options.name, section, weights, options.suffix or options.name)

    def _origin(self, translations: dict[str, Any]) -> dict[str, Any]:
        """Return all that the folder depends on."""
        options = self._options
        return {
            **translations,
            "recipe": self._recipe.model_dump(mode="json", exclude_unset=True),
            "options": {"name": options.name, "tag": options.tag, "min_score": options.min_score},
        }

    def _result(self, manifest: dict[str, Any]) -> BacktranslateResult:
        lines, pairs = manifest["lines"], manifest["pairs"]
        return BacktranslateResult(lines["read"], lines["kept"], pairs["kept"], self._folder.recipe)


def _pairs(parts: TranslationParts) -> Iterator[Examples]:
    """Yield the pairs of each part, with translations as sources. A record is a translated line."""
    first = 1
    for lines in parts.read():
        rows = [
            (candidate.text, line.source, number, f"{candidate.score:.4f}")
            for number, line in enumerate(lines, first)
            for candidate in line.candidates
        ]
        sources, targets, records, scores = (list(column) for column in zip(*rows, strict=True))
        yield Examples(sources, targets, records, {"score": scores})
        first += len(lines)
