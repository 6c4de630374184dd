"""Command line of `nmt runs`."""

from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.formatting import stdout_width
from nmt_cli.cli.options import Json, examples

EXAMPLES = examples("nmt runs", "nmt runs experiments --json")


def runs(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder to search, including its subfolders.")
    ] = Path("runs"),
    json: Json = False,
) -> None:
    """List runs with status, best validation and test scores."""
    from nmt_cli.commands.stdout import write_result
    from nmt_cli.reporting.run_list import format_run_list, list_runs

    found = list_runs(folder)
    if not found:
        console.info(f"{folder}: contains no runs; nmt train creates them")
    write_result([run.as_json() for run in found] if json else format_run_list(found, stdout_width()))
