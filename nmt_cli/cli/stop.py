"""Command line of `nmt stop`."""

from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import Quiet, examples

EXAMPLES = examples("nmt stop runs/en-de", "nmt stop recipe.yaml")


def stop(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run, or a recipe (its run).")],
    quiet: Quiet = False,
) -> None:
    """Stop the training of a run, which saves a checkpoint first.

    Waits until the process has ended. `nmt train` with the same recipe resumes the run. The process must run on this
    machine; with several processes or GPUs, all of them stop.
    """
    from nmt_cli.commands.stop import stop as command

    command(run, console)
