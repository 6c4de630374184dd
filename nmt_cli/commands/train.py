"""nmt train: prepared data → a run directory with checkpoints and a model."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from nmt_cli import console, files
from nmt_cli.commands.launching import launch
from nmt_cli.commands.loading import vocabularies_of
from nmt_cli.commands.session import Session
from nmt_cli.commands.taken_tokenizer import taken_tokenizer
from nmt_cli.data.prepared import Prepared, open_prepared
from nmt_cli.devices import (
    default_processes,
    describe,
    environment,
    is_rank,
    is_restarted,
    may_hang_when_restarted,
    memory_errors,
    pick_device,
    rank,
)
from nmt_cli.errors import RecipeError
from nmt_cli.models import build
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs.curves import require_tensorboard
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.opening import begin, move_aside, refuse_another_experiment, refuse_foreign_folder
from nmt_cli.training.parallel import Ranks, joined


def train(
    recipe_path: Path,
    overrides: Sequence[str] = (),
    run_path: Path | None = None,
    fresh: bool = False,
    dry_run: bool = False,
    processes: int | None = None,
) -> None:
    """Train the recipe's model, or go on with its run; the best checkpoints' average ends in RUN/model.

    With several `processes`, this one only starts and watches them.
    """
    recipe = load_recipe(recipe_path, overrides)
    if run_path is not None:
        recipe = recipe.model_copy(update={"run": run_path})
    if recipe.training.logging.tensorboard:
        require_tensorboard()
    if dry_run:
        _describe(recipe, _open_prepared(recipe))
        return
    processes = processes or default_processes()
    if processes > 1 and not is_rank():
        _open_prepared(recipe)  # mistakes are told once
        launch(processes)
        return
    if may_hang_when_restarted():
        told = (
            "torchrun --max-restarts: processes that are started again may wait for ever for those that are dead;"
            " set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 wherever torchrun is started, as docs/cluster/torchrun.sh does"
        )
        raise RecipeError("" if rank().number else told)
    device = pick_device()
    with joined(rank(), device, recipe.training.parallel.timeout) as ranks, ExitStack() as open_files:
        if not ranks.is_first:
            console.set_quiet(True)
        run = RunDirectory(recipe.run)
        prepared = _open_prepared(recipe)
        if ranks.is_first:
            refuse_foreign_folder(run)
            if fresh and not is_restarted():
                move_aside(run)
            open_files.enter_context(files.lock(run.lock))
            refuse_another_experiment(run, recipe, prepared.fingerprint)
        ranks.wait()
        with memory_errors():
            _go_on(run, recipe, recipe_path, prepared, device, ranks)


def _go_on(
    run: RunDirectory, recipe: Recipe, recipe_path: Path, prepared: Prepared, device: torch.device, ranks: Ranks
) -> None:
    """Train in a run that is open and locked."""
    session = Session(run, recipe, prepared, device, ranks)
    if session.is_over():
        return  # and no file has changed
    if ranks.is_first:
        begin(run, recipe, recipe_path, prepared.fingerprint, prepared.tokenizer.save, environment())
    session.run()


def _open_prepared(recipe: Recipe) -> Prepared:
    """The prepared data; a tokenizer that was taken over may be gone since, but not changed."""
    taken = recipe.tokenizer.take_from
    return open_prepared(recipe, taken_tokenizer(recipe) if taken and taken.exists() else None)


def _describe(recipe: Recipe, prepared: Prepared) -> None:
    """What a training would be, without doing any of it."""
    with torch.device("meta"):
        weights = sum(w.numel() for w in build(recipe.model, vocabularies_of(prepared.tokenizer)).parameters())
    pairs = sum(len(corpus) for corpus in prepared.train)
    tokens = sum(corpus.target_tokens + len(corpus) for corpus in prepared.train)
    console.table(
        f"{recipe.run} would be trained on {describe(pick_device())}",
        ["", "number"],
        [
            ["weights", f"{weights:,}"],
            ["sentence pairs", f"{pairs:,}"],
            ["target tokens in an epoch", f"{tokens:,}"],
            ["updates in an epoch", f"{max(1, round(tokens / recipe.training.update_tokens)):,}"],
            ["updates at most", f"{recipe.training.limits.updates:,}"],
        ],
    )
