"""Several trainings of one recipe: with other seeds (nmt train --seeds), or with other settings (nmt sweep)."""

import itertools
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt_cli.commands.preprocess import preprocess
from nmt_cli.console import Reporter, command_line
from nmt_cli.devices import is_rank
from nmt_cli.errors import (
    DivergedError,
    NmtError,
    RecipeError,
    ResourceError,
    RunInUseError,
    WorkerFailedError,
)
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.run_list import list_run
from nmt_cli.reporting.tables.sweep import SweepRow
from nmt_cli.runs.directory import RunDirectory

_MAX_TRIALS = 1000
_RANDOM_SEED = 1
"""Of the order of trials; the same for all sweeps, so that rerunning a command resumes it."""
_DATA_KEYS = ("data.", "tokenizer.")
_MAX_NAME_BYTES = 200
_EXIT_CODES_OF_TRIALS = {error.exit_code for error in (DivergedError, ResourceError, RunInUseError)}
"""Exit codes of errors that concern one trial only."""


@dataclass(frozen=True)
class TrainOptions:
    """Options of `nmt train` that all trainings share."""

    fresh: bool = False
    dry_run: bool = False
    processes: int | None = None


@dataclass(frozen=True)
class Trial:
    """One combination of settings of a sweep."""

    settings: Mapping[str, str]
    """Value of each key that has several, as on the command line."""
    overrides: Sequence[str]
    """All settings as KEY=VALUE."""
    run: Path


def train_seeds(
    recipe_path: Path,
    overrides: Sequence[str],
    seeds: Sequence[int],
    run_path: Path | None,
    options: TrainOptions,
    reporter: Reporter,
) -> None:
    """Train a recipe once with each seed, in RUN/seed_N. Finished runs stay, and interrupted ones resume."""
    from nmt_cli.commands.train import train  # imports torch, which takes seconds

    folder = _folder_of_runs(recipe_path, overrides, run_path)
    for seed in seeds:
        run, settings = folder.of_seed(seed), [*overrides, f"seed={seed}"]
        train(recipe_path, settings, run, options.fresh, options.dry_run, options.processes, reporter)
    if not options.dry_run:
        reporter.info(f"next: {command_line('nmt', 'evaluate', folder.path)}")


def list_trials(
    recipe_path: Path, settings: Sequence[str], run_path: Path | None = None, num_random: int | None = None
) -> list[Trial]:
    """Return the trials of a sweep, whose recipes are valid.

    Args:
        settings: KEY=VALUE,VALUE,…; commas within brackets and quotes do not separate values.
        num_random: Return this many combinations, drawn at random; None: all. More of them include fewer.

    Raises:
        RecipeError: A setting has no values, or a recipe has errors.
    """
    given = dict(map(_split_setting, settings))
    varied = {key: values for key, values in given.items() if len(values) > 1}
    if not varied:
        raise RecipeError("--set: give at least one setting with several values, such as --set seed=1,2,3")
    if (count := math.prod(map(len, varied.values()))) > _MAX_TRIALS:
        raise RecipeError(f"--set: gives {count:,} combinations, more than {_MAX_TRIALS:,}; leave some values out")
    folder = _folder_of_runs(recipe_path, [f"{key}={values[0]}" for key, values in given.items()], run_path)
    chosen = [dict(zip(given, values, strict=True)) for values in itertools.product(*given.values())]
    if num_random is not None:
        random.Random(_RANDOM_SEED).shuffle(chosen)
        chosen = chosen[:num_random]
    trials = [_trial(recipe_path, each, list(varied), folder) for each in chosen]
    names = {trial.run.name for trial in trials}
    if len(names) < len(trials):
        raise RecipeError("--set: two combinations would have the same name; give each value once")
    return trials


def sweep(recipe_path: Path, trials: Sequence[Trial], processes: int | None, reporter: Reporter) -> Iterator[SweepRow]:
    """Train each trial that is not finished, and yield its row of the table.

    A trial that diverges, runs out of memory or is trained by another process does not stop the others.
    """
    from nmt_cli.commands.train import train  # imports torch, which takes seconds

    for number, trial in enumerate(trials, 1):
        reporter.info(f"trial {number} of {len(trials)}: {trial.run}")
        error = ""
        try:
            if any(key.startswith(_DATA_KEYS) for key in trial.settings):
                preprocess(load_recipe(recipe_path, trial.overrides), reporter=reporter)
            train(recipe_path, trial.overrides, trial.run, processes=processes, reporter=reporter)
        except (DivergedError, ResourceError, RunInUseError, WorkerFailedError) as caught:
            if caught.exit_code not in _EXIT_CODES_OF_TRIALS:
                raise
            error = str(caught) or "failed in another process, which printed why"
            reporter.warn(f"{trial.run}: {error}")
        yield row_of_trial(trial, error)


def row_of_trial(trial: Trial, error: str = "") -> SweepRow:
    """Return the row of a trial as its run is now.

    Args:
        error: What ended the run, if it did not finish.
    """
    run = list_run(trial.run) if RunDirectory(trial.run).summary.is_file() else None
    return SweepRow(trial.run, trial.settings, run, error)


def _folder_of_runs(recipe_path: Path, overrides: Sequence[str], run_path: Path | None) -> RunDirectory:
    if is_rank():
        raise RecipeError("several trainings cannot share the processes of torchrun; use --nproc")
    folder = RunDirectory(run_path or load_recipe(recipe_path, overrides).run)
    if folder.summary.is_file():
        raise RecipeError(f"{folder.path}: is a run itself; name another folder for several runs with --run")
    return folder


def _trial(recipe_path: Path, values: Mapping[str, str], varied: Sequence[str], folder: RunDirectory) -> Trial:
    settings = {key: values[key] for key in varied}
    overrides = [f"{key}={value}" for key, value in values.items()]
    recipe = _load(recipe_path, overrides)
    of_data = {key: value for key, value in settings.items() if key.startswith(_DATA_KEYS)}
    if of_data and "data.prepared" not in values:
        overrides.append(f"data.prepared={recipe.data.prepared}-{_name(of_data)}")
    return Trial(settings, overrides, folder.path / _name(settings))


def _load(recipe_path: Path, overrides: Sequence[str]) -> Recipe:
    try:
        return load_recipe(recipe_path, overrides)
    except NmtError as error:
        if len(overrides) == 1:
            raise
        raise RecipeError(f"{error}\nthe combination is {' '.join(overrides)}") from error


def _name(settings: Mapping[str, str]) -> str:
    """Return a file name such as `dropout=0.1,width=64`, with the last part of each key where that is unique."""
    last = [key.rpartition(".")[2] for key in settings]
    keys = {key: short if last.count(short) == 1 else key for key, short in zip(settings, last, strict=True)}
    name = ",".join(f"{keys[key]}={value}" for key, value in settings.items())
    return re.sub(r"[^\w.,=+-]", "-", name).encode()[:_MAX_NAME_BYTES].decode(errors="ignore")


def _split_setting(text: str) -> tuple[str, list[str]]:
    """Split KEY=A,B,C at commas outside of brackets and quotes."""
    key, equals, rest = text.partition("=")
    values, depth, quote = [""], 0, ""
    for letter in rest:
        quote = "" if letter == quote else letter if not quote and letter in "\"'" else quote
        depth += 0 if quote else (letter in "[{") - (letter in "]}")
        if letter == "," and not depth and not quote:
            values.append("")
        else:
            values[-1] += letter
    values = list(map(str.strip, values))
    if not key or not equals or "" in values:
        raise RecipeError(f"--set {text}: is not of the form key=value,value, as in --set seed=1,2,3")
    return key, values
