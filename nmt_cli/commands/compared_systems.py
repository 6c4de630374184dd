"""Systems to compare: runs, evaluated test sets and files of translations."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from nmt_cli import files
from nmt_cli.commands.evaluation_inputs import read_parallel
from nmt_cli.commands.model_config import NamedModel, seed_runs
from nmt_cli.console import command_line
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.evaluation.system_comparison import SystemOutput
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe, SettingChange, changed_settings
from nmt_cli.reporting.evaluation_files import is_stale_evaluation
from nmt_cli.runs.directory import HYPOTHESES, SCORES, RunDirectory, find_model
from nmt_cli.text.lines import read_lines


@dataclass(frozen=True)
class TranslatedSet:
    """One system's translations of one test set, with sources and references if they are known."""

    path: Path
    hypotheses: list[str]
    sources: list[str] | None = None
    references: list[list[str]] | None = None


@dataclass(frozen=True)
class _TranslatedLine:
    """The part of a line of hypotheses.jsonl that a comparison needs."""

    source: str
    hypothesis: str
    references: Annotated[list[str], Field(min_length=1)]


@dataclass(frozen=True)
class ComparedSystem:
    """One of the systems given on the command line."""

    path: Path
    sets: Mapping[str, Path]
    """Folder of each evaluated test set; empty for a file."""
    file: Path | None
    """File of translations."""
    recipe: Recipe | None
    """Recipe of the run, if the system belongs to one."""
    weights: str = ""
    """Checkpoint of the run; empty for the final model."""
    run: Path | None = None
    """Folder of the run, if the system belongs to one."""

    @property
    def name(self) -> str:
        """Short name, such as that of the run; one of several seeds has that of their folder, too."""
        if self.run is None:
            return self.path.resolve().name
        run = self.run.resolve()
        name = f"{run.parent.name}/{run.name}" if run in RunDirectory(run.parent).seeds() else run.name
        return f"{name}@{self.weights}" if self.weights else name

    def translations(self, test_set: str) -> TranslatedSet:
        """Return the translations of a test set; a file counts as translations of every test set.

        Raises:
            DataError: They are unreadable, or those of an earlier model of the run.
        """
        if self.file is None:
            if is_stale_evaluation(self.sets[test_set]):
                model = self.run and str(self.run / "checkpoints" / self.weights if self.weights else self.run)
                command = command_line("nmt", "evaluate", model or "MODEL", "--test", test_set)
                raise DataError(f"{self.sets[test_set]}: is of an earlier model of its run; run {command}")
            return _read_hypotheses(self.sets[test_set] / HYPOTHESES)
        if self.file.suffix == ".jsonl":
            return _read_hypotheses(self.file)
        return TranslatedSet(self.file, list(read_lines(self.file)))


def open_system(path: Path) -> ComparedSystem:
    """Open a run, recipe, checkpoint or model with evaluated test sets, one such set, or a file of translations."""
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return open_system(load_recipe(path).run)
    if path.is_file():
        return ComparedSystem(path, {}, path, None)
    if (path / HYPOTHESES).is_file():
        run = RunDirectory(path.resolve().parent.parent)
        name, _, weights = path.resolve().name.partition("@")
        if not run.summary.is_file():
            return ComparedSystem(path, {name: path}, None, None)
        return ComparedSystem(run.path, {name: path}, None, load_recipe(run.resolved), weights, run.path)
    if not path.exists():
        raise RecipeError(f"{path}: does not exist; give runs, evaluated sets or files of translations")
    found = find_model(path)
    recipe = None if found.run is None else load_recipe(found.run.resolved)
    if NamedModel(found, None).is_language_model if recipe is None else recipe.data.is_monolingual:
        advice = "compare the perplexities that nmt evaluate and nmt score print"
        raise RecipeError(f"{path}: is a language model, which has no translations; {advice}")
    if found.run is None:
        raise RecipeError(f"{path}: does not belong to a run; translate with it and compare the files")
    is_final = found.folder.resolve() == found.run.model.resolve()
    weights = "" if is_final else found.folder.name
    sets = {}
    for folder in sorted(found.run.evaluation("").glob("*")):
        name, _, set_weights = folder.name.partition("@")
        if set_weights == weights and (folder / SCORES).is_file():
            sets[name] = folder
    if not sets:
        raise DataError(f"{path}: no test set has been evaluated yet; run {command_line('nmt', 'evaluate', path)}")
    return ComparedSystem(path, sets, None, recipe, weights, found.run.path)


def open_systems(paths: Sequence[Path]) -> list[ComparedSystem]:
    """Open systems; the folder of `nmt train --seeds` stands for its runs. RecipeError if a run is given twice."""
    opened = [open_system(run) for path in paths for run in seed_runs(path)]
    runs = [(system.run.resolve(), system.weights, system.path) for system in opened if system.run is not None]
    for index, (*model, path) in enumerate(runs):
        if any(model == other for *other, _ in runs[:index]):
            raise RecipeError(f"{path}: is given twice, which would count as another seed; remove one")
    return opened


def one_of_each_system(compared: Sequence[ComparedSystem]) -> list[ComparedSystem]:
    """Return the first of those systems that differ only in their seed."""
    groups = dict[str, ComparedSystem]()
    for index, system in enumerate(compared):
        groups.setdefault(_recipe_without_seed(system) or f"file {index}", system)
    return list(groups.values())


def common_test_sets(compared: Sequence[ComparedSystem], names: Sequence[str]) -> list[str]:
    """Return the given test sets; if none are given, all that every system has translated."""
    with_sets = [system for system in compared if system.file is None]
    if not with_sets:
        return [*names] or ["test"]
    common = [name for name in with_sets[0].sets if all(name in system.sets for system in with_sets)]
    for name in names:
        for system in with_sets:
            if name not in system.sets:
                command = command_line("nmt", "evaluate", system.path, "--test", name)
                raise DataError(f"{system.path}: {name} has not been evaluated; run {command}")
    if not common:
        sets = "; ".join(f"{system.path} has {', '.join(system.sets)}" for system in with_sets)
        raise DataError(f"the systems have no evaluated test set in common: {sets}")
    plain_files = [system.file for system in compared if system.file is not None]
    if plain_files and len(names or common) > 1:
        raise RecipeError(f"{plain_files[0]}: name the test set that it translates with --test: {', '.join(common)}")
    return [*dict.fromkeys(names)] or common


def common_references(
    translations: Sequence[TranslatedSet], references: Sequence[Path], source: Path | None
) -> tuple[list[list[str]], list[str] | None]:
    """Return references and sources, from the given files or the evaluated sets.

    Raises:
        DataError: The systems or files differ in lines, sources or references.
        RecipeError: There are no references.
    """
    first, *others = translations
    for each in others:
        if len(each.hypotheses) != len(first.hypotheses):
            raise DataError(
                f"{first.path} has {len(first.hypotheses)} lines but {each.path} has {len(each.hypotheses)};"
                " line n of each must translate the same source line"
            )
    if not first.hypotheses:
        raise DataError(f"{first.path}: has no lines, so there is nothing to compare")
    evaluated = [each for each in translations if each.references is not None]
    for each in evaluated[1:]:
        _check_same_lines(evaluated[0], each)
    expected = read_parallel(references) if references else evaluated[0].references if evaluated else None
    if expected is None:
        raise RecipeError("there are no references; give --reference FILE")
    sources = list(read_lines(source)) if source is not None else evaluated[0].sources if evaluated else None
    for path, lines in ((references[0] if references else None, expected[0]), (source, sources)):
        if lines is not None and len(lines) != len(first.hypotheses):
            raise DataError(f"{first.path} has {len(first.hypotheses)} lines but {path} has {len(lines)}")
    return expected, sources


def decoding_differences(compared: Sequence[ComparedSystem], test_set: str) -> Iterator[str]:
    """Yield a sentence for each decoding setting in which an evaluated set differs from the first."""
    evaluated = [(system, _decoding_settings(system.sets[test_set])) for system in compared if test_set in system.sets]
    for other, settings in evaluated[1:]:
        first, expected = evaluated[0]
        for key in sorted(expected.keys() & settings.keys()):
            if settings[key] != expected[key]:
                yield (
                    f"{test_set}: {first.name} was translated with {key} {expected[key]},"
                    f" {other.name} with {key} {settings[key]}"
                )


def group_runs(compared: Sequence[ComparedSystem], translations: Sequence[TranslatedSet]) -> list[SystemOutput]:
    """Combine runs whose recipes differ only in their seed into one system."""
    groups: dict[str, list[int]] = {}
    for index, system in enumerate(compared):
        groups.setdefault(_recipe_without_seed(system) or str(index), []).append(index)
    names, first = _unique_names(compared), compared[0].recipe
    outputs = []
    for members in groups.values():
        runs, recipe = tuple(names[index] for index in members), compared[members[0]].recipe
        name = runs[0] if len(runs) == 1 else f"{_common_name(runs)} ({len(runs)} seeds)"
        changes = [] if first is None or recipe is None else list(_changes(first, recipe))
        outputs.append(SystemOutput(name, runs, tuple(translations[index].hypotheses for index in members), changes))
    return outputs


def _changes(first: Recipe, other: Recipe) -> Iterator[SettingChange]:
    """Yield the settings in which two systems differ, without names of folders, seeds and evaluation."""
    for change in changed_settings(first, other):
        if change.key not in ("run", "seed", "data.prepared") and not change.key.startswith("evaluation."):
            yield change


def run_folders(compared: Sequence[ComparedSystem]) -> dict[str, Path]:
    """Return the run folder by name, for systems that are runs."""
    named = zip(_unique_names(compared), compared, strict=True)
    return {name: system.run for name, system in named if system.run is not None}


def _recipe_without_seed(system: ComparedSystem) -> str | None:
    """Return the part of the recipe that is equal for runs with different seeds; None without a recipe."""
    if system.recipe is None:
        return None
    content = system.recipe.model_dump(mode="json", exclude={"run", "seed", "evaluation"})
    return json.dumps([content, system.weights], sort_keys=True)


def _unique_names(compared: Sequence[ComparedSystem]) -> list[str]:
    """Return a name per system: the short one if it is unique, else the path, with a number if necessary."""
    short = [system.name for system in compared]
    long = [str(system.path) for system in compared]
    names = [name if short.count(name) == 1 else path for name, path in zip(short, long, strict=True)]
    return [
        name if names.count(name) == 1 else f"{name}#{names[: index + 1].count(name)}"
        for index, name in enumerate(names)
    ]


def _common_name(names: Sequence[str]) -> str:
    """Return the common prefix of names, without separators, digits and the word seed at its end."""
    equal = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    prefix = "".join(letters[0] for letters in equal).rstrip("-_. 0123456789")
    return prefix.removesuffix("seed").rstrip("-_./ ") or names[0]


def _check_same_lines(first: TranslatedSet, second: TranslatedSet) -> None:
    texts = [zip(each.sources or (), *(each.references or ()), strict=True) for each in (first, second)]
    for line, (one, other) in enumerate(zip(*texts, strict=True), 1):
        if one != other:
            raise DataError(
                f"{second.path}: line {line}: source or reference differs from {first.path};"
                " evaluate both on the same files"
            )


def utility_of(system: ComparedSystem, test_set: str) -> str | None:
    """Return the metric that minimum Bayes risk decoding maximised for an evaluated set; None for other searches."""
    if system.file is not None:
        return None
    settings = _decoding_settings(system.sets[test_set])
    return settings.get("utility") if settings.get("strategy") == "mbr" else None


def _decoding_settings(folder: Path) -> dict[str, Any]:
    """Return the decoding settings of an evaluated set; empty if they are unknown."""
    try:
        settings = files.read_json(folder / SCORES)["provenance"]["decoding"]
    except (DataError, KeyError, TypeError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _read_hypotheses(path: Path) -> TranslatedSet:
    """Read hypotheses.jsonl of an evaluated set."""
    read, sentences = TypeAdapter(_TranslatedLine), []
    for line_number, line in enumerate(read_lines(path), 1):
        try:
            sentences.append(read.validate_json(line))
        except ValidationError as error:
            message = "is not a line of an evaluated set; run nmt evaluate again"
            raise DataError(f"{path}: line {line_number}: {message}") from error
    if len({len(each.references) for each in sentences}) > 1:
        raise DataError(f"{path}: its lines differ in their number of references; run nmt evaluate again")
    hypotheses, sources = [each.hypothesis for each in sentences], [each.source for each in sentences]
    references = [list(lines) for lines in zip(*(each.references for each in sentences), strict=True)]
    return TranslatedSet(path, hypotheses, sources, references)
