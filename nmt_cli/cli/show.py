"""Arguments of `nmt show`."""

from pathlib import Path
from typing import Annotated

import typer

from nmt_cli.cli.options import examples

EXAMPLES = examples("nmt show runs/en-de", "nmt show runs/en-de/model --check", "nmt show metrics.jsonl --json")


def show(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Any file or folder that nmt made.")],
    check: Annotated[bool, typer.Option("--check", help="Compare all files with their hashes, too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what is known as JSON.")] = False,
) -> None:
    """Tell what a file or folder is, what it holds and what can be done with it.

    A run, a checkpoint, a model folder, prepared data, a tokenizer, an evaluation, a journal, hypotheses, a recipe.
    Exit code 3 if it is nothing of ours, 4 or 3 if --check finds damage.
    """
    from nmt_cli.commands.show import show as command

    command(path, check, json)
