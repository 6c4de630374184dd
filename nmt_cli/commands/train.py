"""nmt train: train a model on prepared data, in a run directory."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from nmt_cli import console, files
from nmt_cli.commands.launching import launch
from nmt_cli.commands.loading import vocabulary_spec
from nmt_cli.commands.pretrained_tokenizer import pretrained_tokenizer
from nmt_cli.commands.training_run import TrainingRun
from nmt_cli.console import Reporter
from nmt_cli.data.prepared import Prepared, open_prepared
from nmt_cli.devices import (
    current_rank,
    default_processes,
    describe,
    is_rank,
    is_restarted,
    may_hang_when_restarted,
    memory_errors,
    pick_device,
)
from nmt_cli.errors import RecipeError
from nmt_cli.locks import lock
from nmt_cli.models import build
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import require_tensorboard
from nmt_cli.runs.opening import move_aside, refuse_another_experiment, refuse_foreign_folder
from nmt_cli.training.distributed import init_distributed


def train(
    recipe_path: Path,
    overrides: Sequence[str] = (),
    run_path: Path | None = None,
    fresh: bool = False,
    dry_run: bool = False,
    processes: int | None = None,
    reporter: Reporter = console,
) -> None:
    """Train the recipe's model, or resume its run; the average of the best checkpoints becomes RUN/model.

    With several `processes`, this one only starts and supervises them.
    """
    recipe = load_recipe(recipe_path, overrides)
    if run_path is not None:
        recipe = recipe.model_copy(update={"run": run_path})
    if recipe.training.logging.tensorboard:
        require_tensorboard()
    if dry_run:
        _describe(recipe, _open_prepared(recipe), reporter)
        return
    processes = processes or default_processes()
    if processes > 1 and not is_rank():
        _open_prepared(recipe)  # so that errors are reported once, not by each rank
        launch(processes)
        return
    rank = current_rank()
    if may_hang_when_restarted():
        message = (
            "torchrun --max-restarts: restarted processes may wait forever for processes that have ended;"
            " set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 wherever torchrun is started, as docs/cluster/torchrun.sh does"
        )
        raise RecipeError("" if rank.rank else message)
    device = pick_device()
    with init_distributed(rank, device, recipe.training.parallel.timeout) as distributed, ExitStack() as open_files:
        if not distributed.is_primary:
            reporter.set_quiet(True)
        run = RunDirectory(recipe.run)
        prepared = _open_prepared(recipe)
        if distributed.is_primary:
            refuse_foreign_folder(run)
            run.refuse_links()
            if fresh and not is_restarted():
                move_aside(run, reporter)
            open_files.enter_context(lock(run.lock))
            log_file = open_files.enter_context(files.open_append(run.log))
            open_files.enter_context(reporter.log_to(log_file))
            refuse_another_experiment(run, recipe, prepared.fingerprint)
        distributed.barrier()
        with memory_errors():
            TrainingRun(run, recipe, prepared, device, distributed, reporter).start(recipe_path)


def _open_prepared(recipe: Recipe) -> Prepared:
    """Open the prepared data. A tokenizer taken from elsewhere may be gone by now, but must not have changed."""
    path = recipe.tokenizer.path
    return open_prepared(recipe, pretrained_tokenizer(recipe) if path and path.exists() else None)


def _describe(recipe: Recipe, prepared: Prepared, reporter: Reporter) -> None:
    """Report the size of the training without starting it."""
    with torch.device("meta"):
        model = build(recipe.model, vocabulary_spec(prepared.tokenizer))
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    num_pairs = sum(len(corpus) for corpus in prepared.train)
    num_tokens = sum(corpus.target_tokens + len(corpus) for corpus in prepared.train)
    sizes = {
        "parameters": num_parameters,
        "sentence pairs": num_pairs,
        "target tokens per epoch": num_tokens,
        "updates per epoch": max(1, round(num_tokens / recipe.training.update_tokens)),
        "updates at most": recipe.training.limits.updates,
    }
    rows = [(name, f"{size:,}") for name, size in sizes.items()]
    reporter.table(f"{recipe.run} would be trained on {describe(pick_device())}", ["", "number"], rows)
