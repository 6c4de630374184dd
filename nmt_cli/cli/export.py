"""Arguments of `nmt export`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import ModelPath, Quiet, examples

EXAMPLES = examples("nmt export runs/en-de --to ctranslate2 -o en-de.ctranslate2")


class Form(StrEnum):
    """Other programs' forms of models."""

    ctranslate2 = "ctranslate2"


def export(
    model: ModelPath,
    to: Annotated[Form, typer.Option("--to", help="The program that is to use it.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where to write the model.")],
    quiet: Quiet = False,
) -> None:
    """Write a model in the form of another program, with a guide to its use.

    Needs that program's Python package: pip install 'nmt-cli[ctranslate2]'.
    """
    console.set_quiet(quiet)
    from nmt_cli.commands.export import export as command

    command(model, to.value, output)
