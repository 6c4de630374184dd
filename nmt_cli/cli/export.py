"""Command line of `nmt export`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import ModelPath, Quiet, examples

EXAMPLES = examples("nmt export runs/en-de --to ctranslate2 -o en-de.ctranslate2")


class ExportFormat(StrEnum):
    """Export formats."""

    ctranslate2 = "ctranslate2"


def export(
    model: ModelPath,
    to: Annotated[ExportFormat, typer.Option("--to", help="Format of the exported model.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write.")],
    quiet: Quiet = False,
) -> None:
    """Export a model for another inference engine.

    The folder contains a README with usage instructions. Requires the engine's Python package: pip install
    'nmt-cli[ctranslate2]'.
    """
    from nmt_cli.commands.export import export as command

    command(model, to.value, output)
    console.info(f"{output}: exported for {to.value}; see its README.md for usage")
