"""nmt train: train a model on prepared data, in a run directory."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from nmt_cli import console, files
from nmt_cli.commands.adapted_recipe import (
    adapted_recipe,
    count_parameters_of,
    speed_on_device,
    training_size,
)
from nmt_cli.commands.adapters import recorded_base
from nmt_cli.commands.launching import launch
from nmt_cli.commands.loading import model_without_weights, vocabulary_spec
from nmt_cli.commands.pretrained_tokenizer import pretrained_tokenizer
from nmt_cli.commands.starting import with_start
from nmt_cli.commands.training_run import TrainingRun
from nmt_cli.console import Reporter
from nmt_cli.data.checking.hyperparameters import check_text_size
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
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.locks import check_free, lock
from nmt_cli.models.contract import Model
from nmt_cli.recipe.adapting import TEXT_KEYS, TRAINING_KEYS, has_key
from nmt_cli.recipe.adapting.training_defaults import expected_updates
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe
from nmt_cli.recipe.training import Training
from nmt_cli.runs.checkpoints import last_good_checkpoint, read_train_state
from nmt_cli.runs.curves import require_trackers
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import read_summary
from nmt_cli.runs.opening import move_aside, refuse_another_experiment, refuse_foreign_folder
from nmt_cli.training.distributed import init_distributed
from nmt_cli.training.optimization.lora import add_adapters
from nmt_cli.training.optimization.optimizer import freeze, trained_parameters
from nmt_cli.training.train_state import TrainState, stop_reason


def train(
    recipe_path: Path,
    overrides: Sequence[str] = (),
    run_path: Path | None = None,
    fresh: bool = False,
    dry_run: bool = False,
    processes: int | None = None,
    reporter: Reporter = console,
) -> None:
    """Train the recipe's model, or resume its run; the average of the best checkpoints, or the best, becomes RUN/model.

    With several `processes`, this one only starts and supervises them.
    """
    recipe = load_recipe(recipe_path, overrides)
    if run_path is not None:
        recipe = recipe.model_copy(update={"run": run_path})
    recipe = with_start(recipe, is_new=fresh and not is_restarted())
    require_trackers(recipe.training.logging)
    if dry_run:
        _describe(recipe, fresh, reporter)
        return
    processes = processes or default_processes()
    if processes > 1 and not is_rank():
        _open_prepared(recipe)  # so that errors are reported once, not by each rank
        arguments = _arguments(recipe_path, overrides, run_path, fresh)
        launch(processes, [*arguments, f"--nproc={processes}"])
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
            for warning in prepared.warnings:
                reporter.warn(warning)
            refuse_foreign_folder(run)
            run.refuse_links()
            if fresh and not is_restarted():
                move_aside(run, reporter)
            open_files.enter_context(lock(run.lock))
            log_file = open_files.enter_context(files.open_append(run.log))
            open_files.enter_context(reporter.log_to(log_file))
            given, recipe = recipe, adapted_recipe(recipe, prepared, distributed.world_size)
            refuse_another_experiment(run, recipe, prepared.fingerprint)
            reporter.info(f"{run.path}: {_adapted_values(given, recipe)}")
            for finding in check_text_size(recipe, training_size(prepared)):
                reporter.warn(f"{finding.where}: {finding.message}; {finding.advice}")
        recipe = distributed.all_gather_object(recipe)[0]  # a measured speed differs between ranks
        with memory_errors():
            TrainingRun(run, recipe, prepared, device, distributed, reporter).start(recipe_path)


def _arguments(recipe_path: Path, overrides: Sequence[str], run_path: Path | None, fresh: bool) -> list[str]:
    """Return the arguments of `nmt train` for a rank."""
    recipe = f"./{recipe_path}" if str(recipe_path).startswith("-") else str(recipe_path)
    run = [] if run_path is None else [f"--run={run_path}"]
    flags = [*(["--fresh"] if fresh else []), *(["--quiet"] if console.is_quiet() else [])]
    return ["train", recipe, *run, *(f"--set={setting}" for setting in overrides), *flags]


def _open_prepared(recipe: Recipe) -> Prepared:
    """Open the prepared data. A tokenizer taken from elsewhere may be gone by now, but must not have changed."""
    path = recipe.tokenizer.path
    return open_prepared(recipe, pretrained_tokenizer(recipe) if path and path.exists() else None)


def _adapted_values(given: Recipe, recipe: Recipe) -> str:
    """Return the values of the adapted defaults, for a message."""
    keys = [key for key in (*TEXT_KEYS, *TRAINING_KEYS) if has_key(recipe, key) and not given.gives(key)]
    if all(map(given.model.gives, given.model.sizes["base"])):
        keys = [key for key in keys if key != "model.preset"]  # which has no effect
    return "defaults for this data: " + ", ".join(f"{key} {recipe.value(key)}" for key in keys)


def _describe(recipe: Recipe, fresh: bool, reporter: Reporter) -> None:
    """Report the size of the training without starting it; refuse a run that training would refuse."""
    prepared, run = _open_prepared(recipe), RunDirectory(recipe.run)
    recipe = adapted_recipe(recipe, prepared)
    refuse_foreign_folder(run)
    run.refuse_links()
    check_free(run.lock)
    plan = "would be trained"
    if not fresh and run.saved_updates():
        refuse_another_experiment(run, recipe, prepared.fingerprint)
        plan = _plan_of_saved(run, recipe, prepared, reporter)
    training, size, vocabulary = recipe.training, training_size(prepared), vocabulary_spec(prepared.tokenizer)
    limits, schedule = training.limits, training.schedule
    speed = 1.0 if limits.minutes is None else speed_on_device(vocabulary)(recipe)
    model = model_without_weights(recipe.model, vocabulary)
    num_parameters = count_parameters_of(model)
    _check_patterns(training, model)
    updates = f"{expected_updates(training, size, speed):,.0f}"
    rows = {
        "parameters": f"{num_parameters:,}",
        recipe.data.unit: f"{size.num_pairs:,}",
        "target tokens per epoch, with eos": f"{size.target_tokens:,}",
        "target tokens per update": f"{training.update_tokens:,}",
        "updates per epoch": f"{max(1, round(size.target_tokens / training.update_tokens)):,}",
        "updates at most": updates if limits.minutes is None else f"about {updates} in {limits.minutes:g} minutes",
        "updates of the warm-up": f"{schedule.warmup:,}",
        "updates between validations": f"{training.validation.every:,}",
    }
    reporter.table(f"{recipe.run} {plan}, on {describe(pick_device())}", ["", "number"], list(rows.items()))


def _plan_of_saved(run: RunDirectory, recipe: Recipe, prepared: Prepared, reporter: Reporter) -> str:
    """Return whether a run with checkpoints is finished or would be resumed, at which update."""
    checkpoint = last_good_checkpoint(run, reporter)
    assert checkpoint is not None
    try:
        state = TrainState.from_state_dict(read_train_state(checkpoint))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{checkpoint}: does not fit this training run: {error}") from error
    reason, is_finished = stop_reason(recipe.training, state), read_summary(run).get("status") == "finished"
    if recipe.training.lora is not None and recipe.training.start_from is not None:
        recorded_base(run, recipe.training.start_from, prepared.tokenizer)
    verb = "would be resumed" if not reason else "is finished" if is_finished else "would be finished"
    return f"{verb} at update {state.num_updates:,}" + (f", as {reason}" if reason else "")


def _check_patterns(settings: Training, model: Model) -> None:
    """Raise RecipeError if a pattern of parameter names matches nothing in a model without weights."""
    if settings.lora is not None:
        add_adapters(model, settings.lora)
    freeze(model, settings.freeze)
    trained_parameters(model, settings.learning_rate_factors)
