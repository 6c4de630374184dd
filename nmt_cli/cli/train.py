"""Arguments of `nmt train`."""

from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import DryRun, Overrides, Processes, Quiet, RecipePath, examples

EXAMPLES = examples(
    "nmt train recipe.yaml",
    "nmt train recipe.yaml --run runs/short --set training.limits.updates=2000",
    "nmt train recipe.yaml --fresh",
    "nmt train recipe.yaml --nproc 4",
    "nmt train recipe.yaml --set training.limits.minutes=30",
)


def train(
    recipe: RecipePath,
    run: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Run directory; overrides `run` of the recipe.")
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
    from nmt_cli.commands.train import train as command

    command(recipe, set_ or [], run, fresh, dry_run, nproc, console)
