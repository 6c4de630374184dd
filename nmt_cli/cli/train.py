"""Arguments of `nmt train`."""

import re
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import DryRun, Overrides, Processes, Quiet, RecipePath, RunFolder, examples
from nmt_cli.errors import RecipeError

EXAMPLES = examples(
    "nmt train recipe.yaml",
    "nmt train recipe.yaml --run runs/short --set training.limits.updates=2000",
    "nmt train recipe.yaml --fresh",
    "nmt train recipe.yaml --nproc 4",
    "nmt train recipe.yaml --seeds 1,2,3",
    "nmt train recipe.yaml --set training.limits.minutes=30",
)


def train(
    recipe: RecipePath,
    run: RunFolder = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="N,N,…", help="Train once with each of these seeds, in RUN/seed_N.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Move an existing run aside and start a new one.")] = False,
    set_: Overrides = None,
    nproc: Processes = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Train the recipe's model, or resume its run.

    An existing run resumes exactly where it was stopped or killed. Learning rate, schedule, limits, logging,
    validation, checkpoints, test sets and other settings that docs/training.md lists may change, as may the number of
    processes; other changes need --fresh. Ctrl-C and nmt stop save and stop.
    """
    from nmt_cli.recipe.loading import load_recipe

    load_recipe(recipe, set_ or [])  # report errors before torch is loaded
    if seeds is not None:
        from nmt_cli.commands.experiments import TrainOptions, train_seeds

        train_seeds(recipe, set_ or [], _parse_seeds(seeds), run, TrainOptions(fresh, dry_run, nproc), console)
        return
    from nmt_cli.commands.train import train as command

    command(recipe, set_ or [], run, fresh, dry_run, nproc, console)


def _parse_seeds(text: str) -> list[int]:
    if not re.fullmatch(r"\d{1,18}(,\d{1,18})*", text, re.ASCII):
        raise RecipeError(f"--seeds {text}: must be numbers separated by commas, such as 1,2,3")
    seeds = list(map(int, text.split(",")))
    if len(set(seeds)) < len(seeds):
        raise RecipeError(f"--seeds {text}: give each seed once")
    return seeds
