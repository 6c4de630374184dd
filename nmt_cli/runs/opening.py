"""Opening a run directory: which folders are accepted, which runs may resume, and what a new run writes."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nmt_cli import __version__, files
from nmt_cli.console import Reporter
from nmt_cli.devices import is_restarted
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.locks import lock
from nmt_cli.recipe.loading import load_recipe, resolved_yaml
from nmt_cli.recipe.schema import Recipe, SettingChange, changed_settings, check_resumable
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import read_summary, read_summary_if_present, update_summary
from nmt_cli.text.lines import utf8_name


def refuse_foreign_folder(run: RunDirectory) -> None:
    """Raise RecipeError unless the folder is new, empty, or a run directory."""
    if run.path.is_file():
        raise RecipeError(f"{run.path}: is a file; `run` names a directory")
    ours = {path.name for path in (run.lock, run.log, run.summary, run.stop_request, *files.leftovers(run.path))}
    if run.path.is_dir() and not run.summary.is_file():
        others = sorted({path.name for path in run.path.iterdir()} - ours)
        if others:
            raise RecipeError(f"{run.path}: contains other files ({others[0]}); choose an empty directory as `run`")


def move_aside(run: RunDirectory, reporter: Reporter) -> None:
    """Rename an existing run to `NAME.oldN`."""
    if not run.path.exists():
        return
    path = files.target_of(run.path)
    files.require_name(path)
    with lock(run.lock):
        index = 1
        while (aside := files.beside(path, f".old{index}")).exists():
            index += 1
        with files.disk_errors(path):
            path.rename(aside)
    reporter.info(f"{run.path}: moved the old run to {aside}")


def refuse_another_experiment(run: RunDirectory, recipe: Recipe, data: str) -> None:
    """Raise an error if a run with checkpoints would resume with another recipe, or with other data.

    `data` is the fingerprint of the prepared data.
    """
    if not run.saved_updates():
        return
    check_resumable(load_recipe(run.resolved), recipe)
    if read_summary(run).get("data") != data:
        raise DataError(
            f"{recipe.data.prepared}: is not the data that this run was started with;"
            " restore it, or start a new run with --fresh"
        )


def begin(
    run: RunDirectory,
    recipe: Recipe,
    recipe_path: Path,
    identity: Mapping[str, Any],
    save_tokenizer: Callable[[Path], None],
    environment: Mapping[str, Any],
    reporter: Reporter,
) -> list[SettingChange]:
    """Write the files of a run that precede its first checkpoint; return the settings that a resumed run changes.

    Args:
        identity: Hashes of the prepared data, the model's configuration, the tokenizer, and the model to start from.
    """
    before = read_summary_if_present(run)
    changes = list[SettingChange]()
    if run.saved_updates():
        changes = [each for each in changed_settings(load_recipe(run.resolved), recipe) if each.key != "run"]
        for change in changes:
            reporter.info(f"{run.path}: {change.key} was {change.old}, is now {change.new}")
        recorded = before.get("environment")
        _warn_of_changed_environment(run, recorded if isinstance(recorded, dict) else {}, environment, reporter)
    update_summary(
        run,
        format=1,
        nmt=__version__,
        status="running",
        started=before.get("started") or time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        command=["nmt", *map(utf8_name, sys.argv[1:])],
        folder=utf8_name(str(Path.cwd())),
        **identity,
        environment=dict(environment),
    )
    if not is_restarted():  # or else torchrun would train on after `nmt stop`
        files.remove(run.stop_request)
    for unfinished in files.leftovers(run.checkpoints):
        files.remove(unfinished)
    if not run.saved_updates():
        with files.new_folder(run.tokenizer) as folder:
            save_tokenizer(folder)
    with files.new_file(run.recipe) as file:
        file.write(recipe_path.read_bytes())
    with files.new_file(run.resolved) as file:
        file.write(resolved_yaml(recipe).encode())
    return changes


def record_batch_tokens(run: RunDirectory, found: int, reporter: Reporter) -> None:
    """Record the size that `training.batch_tokens: auto` stands for; warn if it was another one before the run resumed.

    Dropout is drawn for each batch, so that batches of another size give other results.
    """
    before = read_summary_if_present(run).get("batch_tokens", found)
    if before != found and run.saved_updates():
        advice = f"to keep it, set training.batch_tokens: {before}"
        what = f"training.batch_tokens: auto was {before}, is now {found}"
        reporter.warn(f"{run.path}: results will not be bit-identical: {what}; {advice}")
    update_summary(run, batch_tokens=found)


def _warn_of_changed_environment(
    run: RunDirectory, before: Mapping[str, Any], now: Mapping[str, Any], reporter: Reporter
) -> None:
    """Warn that other devices and torch versions round differently, as do other numbers of threads and ranks."""
    for key in ("device", "torch"):
        if before.get(key, now[key]) != now[key]:
            reporter.warn(f"{run.path}: results will not be bit-identical: {key} was {before[key]}, is now {now[key]}")
