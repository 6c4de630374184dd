"""Command line of `nmt runs`."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
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
    width = shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else None
    write_result([run.as_json() for run in found] if json else format_run_list(found, width))
