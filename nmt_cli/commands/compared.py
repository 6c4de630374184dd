"""What can be compared: runs, evaluated sets and plain files of translations, brought to the same test sets."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.commands.test_sets import read_parallel
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.evaluation.system_comparison import SystemOutput
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs.directory import HYPOTHESES, SCORES, RunDirectory, find_model
from nmt_cli.text.lines import read_lines


@dataclass(frozen=True)
class Translations:
    """One system's translations of one test set, and what they are judged by, if that is known."""

    path: Path
    hypotheses: list[str]
    sources: list[str] | None = None
    references: list[list[str]] | None = None


@dataclass(frozen=True)
class Candidate:
    """One of the systems to compare, as it was named on the command line."""

    path: Path
    sets: Mapping[str, Path]
    """Folder of each evaluated test set; empty for a file."""
    file: Path | None
    """A file of translations."""
    recipe: Recipe | None
    """Of the run, if it belongs to one."""
    weights: str = ""
    """Which of the run's models: empty for the final one."""
    run: Path | None = None
    """The folder of the run, if it belongs to one."""

    @property
    def name(self) -> str:
        """Short, such as the name of its run."""
        if self.run is None:
            return self.path.resolve().name
        return f"{self.run.resolve().name}@{self.weights}" if self.weights else self.run.resolve().name

    def translations(self, test_set: str) -> Translations:
        """Its translations of a test set; a file holds those of any."""
        if self.file is None:
            return _read_evaluated(self.sets[test_set] / HYPOTHESES)
        if self.file.suffix == ".jsonl":
            return _read_evaluated(self.file)
        return Translations(self.file, list(read_lines(self.file)))


def open_candidate(path: Path) -> Candidate:
    """What `path` names: a run, recipe, checkpoint or model with evaluated sets, one such set, or a file."""
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return open_candidate(load_recipe(path).run)
    if path.is_file():
        return Candidate(path, {}, path, None)
    if (path / HYPOTHESES).is_file():
        run = RunDirectory(path.resolve().parent.parent)
        name, _, weights = path.resolve().name.partition("@")
        if not run.summary.is_file():
            return Candidate(path, {name: path}, None, None)
        return Candidate(run.path, {name: path}, None, load_recipe(run.resolved), weights, run.path)
    if not path.exists():
        raise RecipeError(f"{path}: does not exist; give runs, folders of evaluated sets or files of translations")
    found = find_model(path)
    if found.run is None:
        raise RecipeError(f"{path}: stands apart from its run; translate with it, and compare the files")
    is_final = found.folder.resolve() == found.run.model.resolve()
    weights = "" if is_final else found.folder.name
    sets = {}
    for folder in sorted(found.run.evaluation("").glob("*")):
        name, _, of_weights = folder.name.partition("@")
        if of_weights == weights and (folder / SCORES).is_file():
            sets[name] = folder
    if not sets:
        raise DataError(f"{path}: no test set is evaluated yet; nmt evaluate {path} does it")
    return Candidate(path, sets, None, load_recipe(found.run.resolved), weights, found.run.path)


def common_sets(candidates: Sequence[Candidate], wanted: Sequence[str]) -> list[str]:
    """Names of the test sets that every candidate has translations of: all of them, or those wanted."""
    with_sets = [each for each in candidates if each.file is None]
    if not with_sets:
        return [*wanted] or ["test"]
    common = [name for name in with_sets[0].sets if all(name in each.sets for each in with_sets)]
    for name in wanted:
        for each in with_sets:
            if name not in each.sets:
                raise DataError(f"{each.path}: {name} is not evaluated; nmt evaluate {each.path} --test {name} does it")
    if not common:
        sets = "; ".join(f"{each.path} has {', '.join(each.sets)}" for each in with_sets)
        raise DataError(f"there is no test set that all were evaluated on: {sets}")
    plain = [each.file for each in candidates if each.file is not None]
    if plain and len(wanted or common) > 1:
        raise RecipeError(f"{plain[0]}: say with --test of which set it is a translation: {', '.join(common)}")
    return [*dict.fromkeys(wanted)] or common


def judged_by(
    found: Sequence[Translations], references: Sequence[Path], source: Path | None
) -> tuple[list[list[str]], list[str] | None]:
    """References and sources, from the command line or the evaluated sets; DataError if these differ."""
    first, *others = found
    for each in others:
        if len(each.hypotheses) != len(first.hypotheses):
            raise DataError(
                f"{first.path} has {len(first.hypotheses)} lines but {each.path} has {len(each.hypotheses)};"
                " line n of one must translate the same as line n of the other"
            )
    if not first.hypotheses:
        raise DataError(f"{first.path}: has no lines, so there is nothing to compare")
    known = [each for each in found if each.references is not None]
    for each in known[1:]:
        _refuse_different(known[0], each)
    if references:
        expected = read_parallel(references)
        if len(expected[0]) != len(first.hypotheses):
            raise DataError(
                f"{first.path} has {len(first.hypotheses)} lines but {references[0]} has {len(expected[0])}"
            )
    elif known and known[0].references is not None:
        expected = known[0].references
    else:
        raise RecipeError("give --reference FILE, which the translations are judged by")
    sources = list(read_lines(source)) if source is not None else known[0].sources if known else None
    if sources is not None and len(sources) != len(first.hypotheses):
        raise DataError(f"{first.path} has {len(first.hypotheses)} lines but {source} has {len(sources)}")
    return expected, sources


def other_decoding(candidates: Sequence[Candidate], test_set: str) -> Iterator[str]:
    """A sentence for each setting that the first evaluated set was translated with and another was not."""
    known = [(each, _decoding(each.sets[test_set])) for each in candidates if test_set in each.sets]
    for other, settings in known[1:]:
        first, expected = known[0]
        for key in sorted(expected.keys() & settings.keys()):
            if settings[key] != expected[key]:
                yield (
                    f"{test_set}: {first.name} was translated with {key} {expected[key]},"
                    f" {other.name} with {key} {settings[key]}"
                )


def systems(candidates: Sequence[Candidate], found: Sequence[Translations]) -> list[SystemOutput]:
    """The systems to compare; runs of one recipe that differ in their seed alone are one system."""
    groups: dict[str, list[int]] = {}
    for number, candidate in enumerate(candidates):
        groups.setdefault(_experiment(candidate) or str(number), []).append(number)
    if len(groups) == 1:  # seeds of one recipe alone: they are what is compared
        groups = {str(number): [number] for number in range(len(candidates))}
    names = _distinct(candidates)
    made = []
    for members in groups.values():
        trainings = tuple(names[number] for number in members)
        name = trainings[0] if len(trainings) == 1 else f"{_shared(trainings)} ({len(trainings)} seeds)"
        made.append(SystemOutput(name, trainings, tuple(found[number].hypotheses for number in members)))
    return made


def runs_by_name(candidates: Sequence[Candidate]) -> dict[str, Path]:
    """The folders of those that are runs."""
    named = zip(_distinct(candidates), candidates, strict=True)
    return {name: candidate.run for name, candidate in named if candidate.run is not None}


def _experiment(candidate: Candidate) -> str | None:
    """What two trainings have in common that differ in their seed alone; None if no recipe is known."""
    if candidate.recipe is None:
        return None
    content = candidate.recipe.model_dump(mode="json", exclude={"run", "seed", "evaluation"})
    return json.dumps([content, candidate.weights], sort_keys=True)


def _distinct(candidates: Sequence[Candidate]) -> list[str]:
    """A name for each: short, unless two would have the same."""
    short = [each.name for each in candidates]
    long = [str(each.path) for each in candidates]
    names = [name if short.count(name) == 1 else other for name, other in zip(short, long, strict=True)]
    return [
        name if names.count(name) == 1 else f"{name}#{names[: place + 1].count(name)}"
        for place, name in enumerate(names)
    ]


def _shared(names: Sequence[str]) -> str:
    """What the names of several trainings begin with, without what tells them apart."""
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    shared = "".join(letters[0] for letters in same).rstrip("-_. 0123456789")
    return shared.removesuffix("seed").rstrip("-_. ") or names[0]


def _refuse_different(first: Translations, second: Translations) -> None:
    for number, (one, other) in enumerate(zip(_judged_lines(first), _judged_lines(second), strict=True), 1):
        if one != other:
            raise DataError(
                f"{second.path}: line {number}: has another source or reference than that of {first.path};"
                " evaluate both on the same files"
            )


def _decoding(folder: Path) -> dict[str, Any]:
    """The settings that a set was translated with; empty if they are not known."""
    try:
        found = files.read_json(folder / SCORES)["provenance"]["decoding"]
    except (DataError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _judged_lines(found: Translations) -> list[tuple[str, ...]]:
    assert found.sources is not None and found.references is not None
    return list(zip(found.sources, *found.references, strict=True))


def _read_evaluated(path: Path) -> Translations:
    """hypotheses.jsonl of an evaluated set."""
    records: list[dict[str, Any]] = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            record = json.loads(line)
            texts = [record["source"], record["hypothesis"], *record["references"]]
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path}: line {number}: is not that of an evaluated set; evaluate again") from error
        if not all(isinstance(text, str) for text in texts) or len(texts) < 3:
            raise DataError(f"{path}: line {number}: is not that of an evaluated set; evaluate again")
        records.append(record)
    sets = {len(record["references"]) for record in records}
    if len(sets) > 1:
        raise DataError(f"{path}: its lines have different numbers of references; evaluate again")
    return Translations(
        path,
        [record["hypothesis"] for record in records],
        [record["source"] for record in records],
        [list(lines) for lines in zip(*(record["references"] for record in records), strict=True)],
    )
