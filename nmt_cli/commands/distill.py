"""nmt distill: train a small, fast student on the translations of a teacher, measure both, and export the student."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nmt_cli import console, files
from nmt_cli.commands.export import export
from nmt_cli.commands.shortlist import has_shortlist, write_shortlist
from nmt_cli.commands.synthesis.best_candidates import given_pairs, monolingual_pairs, teacher_pairs
from nmt_cli.commands.synthesis.corpus_files import CorpusFolder
from nmt_cli.commands.synthesis.folder_job import up_to_date, write_folder
from nmt_cli.commands.synthesis.recipes import (
    check_extensible,
    split_student_overrides,
    student_recipe,
    translate_options,
)
from nmt_cli.commands.synthesis.selection import PairSelection
from nmt_cli.commands.synthesis.side_by_side import SideBySide, measure
from nmt_cli.commands.synthesis.training import prepare_and_train
from nmt_cli.commands.synthesis.translation_job import (
    MonolingualLines,
    SelectedText,
    TrainingPairs,
    TranslationJob,
)
from nmt_cli.commands.synthesis.translations import TranslationParts
from nmt_cli.commands.translate import raise_on_signals
from nmt_cli.console import Reporter
from nmt_cli.data.preparation.corpora import check_file, file_identity, input_files
from nmt_cli.data.reading.examples import Examples
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.errors import NmtError, RecipeError, StoppedError
from nmt_cli.processes import ALL_SHARDS, ShardSpec
from nmt_cli.recipe.loading import given_yaml, load_recipe
from nmt_cli.recipe.schema import Recipe

Student = Literal["student-tiny", "student-base"]
StudentDecoder = Literal["ssru", "softmax"]

EXPORTS: dict[StudentDecoder, tuple[str, ...]] = {"ssru": ("marian", "bergamot"), "softmax": ("ctranslate2", "onnx")}
"""The formats that can hold a student, by the self-attention of its decoder."""


@dataclass(frozen=True)
class DistillOptions:
    """The teacher, what it translates, and the student."""

    output: Path
    """Folder to write."""
    teachers: tuple[Path, ...] = ()
    """Several form an ensemble."""
    translations: Path | None = None
    """Translations of the training sources by any program, instead of a teacher."""
    text: tuple[Path, ...] = ()
    """Files in the source language, which the teacher translates, too."""
    n_best: int = 8
    """Translations of each training source, of which the best is used."""
    decoding: tuple[str, ...] = ()
    """Settings of the teacher's search, as KEY=VALUE of the section `decoding`."""
    min_score: float | None = None
    """Minimum score of a translation."""
    student: Student = "student-tiny"
    decoder: StudentDecoder = "ssru"
    trains: bool = True
    """Whether to train, measure and export the student, not only to write its recipe."""


@dataclass(frozen=True)
class DistillResult:
    """What was made."""

    pairs: int
    """Pairs of the student's corpus; 0 if it is not complete."""
    recipe: Path | None = None
    """The recipe of the student; None if its corpus is not complete."""
    comparison: SideBySide | None = None
    """Teacher and student; None if the student was not trained, or without a teacher."""
    exports: tuple[Path, ...] = ()


def distill(
    recipe_path: Path,
    overrides: tuple[str, ...],
    options: DistillOptions,
    shard: ShardSpec = ALL_SHARDS,
    processes: int | None = None,
    dry_run: bool = False,
    reporter: Reporter = console,
) -> DistillResult | None:
    """Write the corpus and the recipe of a student; train it, give it a shortlist, measure it beside its teacher, and
    export it.

    What is complete and would become the same is not repeated. An interrupted job continues where it was.

    Args:
        overrides: Changes of the recipe; in the sections `model`, `training` and `decoding`, of the student's alone.
        shard: The part of the text to translate. Only all shards together write the folder.
        processes: Number of processes that translate, and that train; None: one per GPU, else one.

    Returns:
        None after a dry run.

    Raises:
        RecipeError: The options do not fit the recipe or the models.
    """
    of_recipe, of_student = split_student_overrides(overrides)
    work = _Distillation(load_recipe(recipe_path, of_recipe), recipe_path, options, of_student)
    with raise_on_signals():
        result = work.write(shard, processes, dry_run, reporter)
    if result is None or result.recipe is None or not options.trains:
        return result
    run = prepare_and_train(result.recipe, processes, reporter)
    with raise_on_signals():
        if not has_shortlist(run):
            write_shortlist(run, reporter=reporter)
        comparison = work.measure(run, reporter)
        return DistillResult(result.pairs, result.recipe, comparison, work.export(run, reporter))


class _Distillation:
    """Distillation of one recipe."""

    def __init__(self, recipe: Recipe, recipe_path: Path, options: DistillOptions, of_student: Sequence[str]) -> None:
        data = recipe.data
        check_extensible(recipe)
        if bool(options.teachers) == (options.translations is not None):
            raise RecipeError("give either --teacher MODEL or --translations FILE")
        if options.text and not options.teachers:
            raise RecipeError("--text: needs a --teacher that translates it; add its translations to --translations")
        if data.language_tags:
            raise RecipeError("data.language_tags: is not supported; distil each direction alone")
        self._recipe, self._recipe_path, self._options = recipe, recipe_path, options
        self._languages = (data.source_language, data.target_language)
        self._folder = CorpusFolder(options.output, self._languages)
        shape = options.student, options.decoder
        self._student = student_recipe(recipe, self._folder.section(), *shape, of_student)
        self._jobs = list[TranslationJob]()
        if options.teachers:
            best = [f"decoding.{setting}" for setting in ("strategy=beam", "n_best=1", *options.decoding)]
            size = f"decoding.beam_size={options.n_best}"
            many = [best[0], size, f"decoding.n_best={options.n_best}", *best[2:]]
            self._teacher = translate_options(options.teachers, self._languages, "--teacher", best)
            self._jobs.append(TranslationJob(TrainingPairs(recipe), self._teacher_options(many)))
            if options.text:
                lines = MonolingualLines(recipe, options.text, data.source_language)
                self._jobs.append(TranslationJob(lines, self._teacher))

    def write(self, shard: ShardSpec, processes: int | None, dry_run: bool, reporter: Reporter) -> DistillResult | None:
        """Translate, select, and write the folder, unless it is up to date."""
        self._folder.check()
        origin = self._origin()
        if (manifest := up_to_date(self._folder, origin, dry_run, reporter)) is not None:
            return None if dry_run else DistillResult(manifest["pairs"]["kept"], self._folder.recipe)
        teacher = ", ".join(map(str, self._options.teachers)) or self._options.translations
        verb = "would distil" if dry_run else "distilling"
        reporter.info(f"{verb} {teacher} into {self._folder.path}, for {self._student.run}")
        if dry_run:
            for job in self._jobs:
                job.report_count(reporter)
            return None
        _, manifest = write_folder(
            self._folder,
            origin,
            shard,
            lambda work: [job.run(work, shard, processes, reporter) for job in self._jobs],
            lambda done: self._write(self._pairs(done), origin, reporter),
            reporter,
        )
        return DistillResult(0) if manifest is None else DistillResult(manifest["pairs"]["kept"], self._folder.recipe)

    def _pairs(self, done: Sequence[tuple[SelectedText, TranslationParts]]) -> Iterator[Examples]:
        """Yield the pairs of the corpus, given what each job has translated."""
        if done:
            yield from teacher_pairs(*done[0])
        for _, parts in done[1:]:
            yield from monolingual_pairs(parts)
        if self._options.translations is not None:
            yield from given_pairs(self._recipe, self._options.translations)

    def _write(self, pairs: Iterator[Examples], origin: dict[str, Any], reporter: Reporter) -> None:
        selection = PairSelection(self._recipe, "target", self._options.min_score)

        def describe() -> tuple[str, dict[str, Any]]:
            selection.require_any(self._folder.path)
            self._folder.require_unchanged(origin, self._origin(is_now=True))
            return self._recipe_text(selection.stats.num_kept), {"origin": origin, "pairs": selection.stats.to_json()}

        self._folder.write(map(selection.select, pairs), describe)
        selection.report("distilled", reporter)

    def measure(self, run: Path, reporter: Reporter) -> SideBySide | None:
        """Translate the first validation set with the teacher, and greedily with the student: fp32, int8, shortlist."""
        if not self._options.teachers:
            return None
        from nmt_cli.devices import pick_device

        systems = {"teacher": self._teacher_options(()), "student": TranslateOptions((run,))}
        if pick_device().type == "cpu":
            int8 = ("decoding.precision=int8",)
            systems["student int8"] = TranslateOptions((run,), int8)
            systems["student int8 shortlist"] = TranslateOptions((run,), (*int8, "decoding.shortlist=true"))
        return measure(self._recipe, systems, reporter)

    def export(self, run: Path, reporter: Reporter) -> tuple[Path, ...]:
        """Export the student into folders beside the output. A format that cannot be written is reported."""
        done = []
        for name in EXPORTS[self._options.decoder]:
            folder = files.beside(self._folder.path, f".{name}")
            try:
                verification = export(run, name, folder)
            except StoppedError:
                raise
            except NmtError as error:
                reporter.warn(f"{name}: {error}")
                continue
            megabytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
            reporter.info(f"{folder}, {megabytes:.1f} MB: {verification}")
            done.append(folder)
        return tuple(done)

    def _teacher_options(self, overrides: Sequence[str]) -> TranslateOptions:
        return translate_options(self._options.teachers, self._languages, "--teacher", overrides)

    def _recipe_text(self, num_pairs: int) -> str:
        options, recipe = self._options, self._folder.recipe
        teacher = " and ".join(map(str, options.teachers)) or f"the system that wrote {options.translations}"
        head = (
            f"A student of {teacher}, written by nmt distill from {self._recipe_path}.\n"
            f"nmt preprocess {recipe} && nmt train {recipe}"
        )
        shape = {
            "ssru": "the decoder and positions of Marian's students, for exports to Marian and Bergamot",
            "softmax": "self-attention, for exports to CTranslate2 and ONNX",
        }
        comments = {
            (): head,
            ("data", "train", "distilled"): f"{num_pairs:,} sources and translations of {teacher}",
            ("model",): f"few decoder layers, which make translation fast; {shape[options.decoder]}",
            ("decoding",): "greedy: a student gains little from a beam",
        }
        return given_yaml(self._student, comments)

    def _origin(self, is_now: bool = False) -> dict[str, Any]:
        """Return all that the folder depends on, when it was first read or as it is now."""
        options = self._options
        origin: dict[str, Any] = {
            "jobs": [job.describe_origin() if is_now else job.origin for job in self._jobs],
            "student": self._student.model_dump(mode="json", exclude_unset=True),
            "filters": [each.model_dump(mode="json") for each in self._recipe.data.filters],
            "min_score": options.min_score,
        }
        if options.translations is not None:
            check_file(options.translations)
            origin["translations"] = file_identity(options.translations)
            origin["inputs"] = {name: file_identity(path) for name, path in input_files(self._recipe).items()}
        return origin
