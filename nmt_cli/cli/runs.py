"""Command line of `nmt runs`."""

import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.formatting import stdout_width
from nmt_cli.cli.options import Json, examples
from nmt_cli.errors import RecipeError

EXAMPLES = examples("nmt runs", "nmt runs --watch", "nmt runs experiments --json")
_WATCH_SECONDS = 2
_CLEAR = "\x1b[H\x1b[J"
"""Moves the cursor to the top left and clears the terminal."""


def runs(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder to search, including its subfolders.")
    ] = Path("runs"),
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Print the list again every two seconds until Ctrl-C.")
    ] = False,
    json: Json = False,
) -> None:
    """List runs with status, best validation and test scores.

    Runs in training are listed with loss, speed, estimated end, process and machine.
    """
    from nmt_cli.commands.stdout import write_result
    from nmt_cli.reporting.run_list import format_run_list, list_runs

    if watch:
        _watch(folder, json)
        return
    found = list_runs(folder)
    if not found:
        console.info(f"{folder}: contains no runs; nmt train creates them")
    write_result([run.as_json() for run in found] if json else format_run_list(found, stdout_width()))


def _watch(folder: Path, json: bool) -> None:
    """Show the list on the terminal, with as many runs as fit, until Ctrl-C."""
    from nmt_cli.commands.stdout import write_result
    from nmt_cli.reporting.run_list import format_run_list, list_runs

    if json or sys.stdout is None or not sys.stdout.isatty():
        raise RecipeError("--watch: is for terminals only; programs can call nmt runs --json again and again")
    try:
        while True:
            size = shutil.get_terminal_size()
            shown = format_run_list(list_runs(folder), size.columns, size.lines - 2)
            write_result(f"{_CLEAR}{shown or f'{folder}: contains no runs yet'}")
            time.sleep(_WATCH_SECONDS)
    except KeyboardInterrupt:
        pass
