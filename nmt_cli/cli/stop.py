"""Command line of `nmt stop`."""

from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import Quiet, RunPath, examples

EXAMPLES = examples("nmt stop runs/en-de", "nmt stop recipe.yaml")


def stop(
    run: RunPath,
    timeout: Annotated[
        int,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="Give up if a process on another machine has written nothing for this time: it may have died.",
        ),
    ] = 600,
    quiet: Quiet = False,
) -> None:
    """Stop the training of a run, which saves a checkpoint first.

    Waits until the run is saved. `nmt train` with the same recipe resumes it. The process may run on another machine
    that shares the folder; with several processes or GPUs, all of them stop.
    """
    from nmt_cli.commands.stop import stop as command

    command(run, console, timeout)
