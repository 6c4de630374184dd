"""Prepare the data of a recipe and train it, as a step of a longer work that is run again after an interruption."""

from pathlib import Path

from nmt_cli.commands.preprocess import preprocess
from nmt_cli.commands.train import train
from nmt_cli.console import Reporter
from nmt_cli.data.preparation.preparing import ALL_WORK
from nmt_cli.processes.pool import available_cores
from nmt_cli.recipe.loading import load_recipe


def prepare_and_train(recipe: Path, processes: int | None, reporter: Reporter) -> Path:
    """Return the run of a recipe. What is complete is not repeated, and an interrupted run is resumed.

    Args:
        processes: Number of processes that train; None: one per GPU, else one.
    """
    loaded = load_recipe(recipe)
    preprocess(loaded, ALL_WORK, available_cores(), reporter=reporter)
    train(recipe, processes=processes, reporter=reporter)
    return loaded.run
