"""Arguments of `nmt runs`."""

from pathlib import Path
from typing import Annotated

import typer

from nmt_cli.cli.options import examples

EXAMPLES = examples("nmt runs", "nmt runs experiments --json")


def runs(
    folder: Annotated[Path, typer.Argument(help="Where to look, folders inside it included.")] = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the runs in a folder: status, update, best validation, test scores, size and age."""
    from nmt_cli.commands.runs import runs as command

    command(folder, json)
