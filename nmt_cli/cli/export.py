"""Command line of `nmt export`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt_cli import console
from nmt_cli.cli.options import ModelPath, NewFolder, Quiet, SourceLanguage, TargetLanguage, examples

EXAMPLES = examples("nmt export runs/en-de --to ctranslate2 -o en-de.ctranslate2")


def export(
    model: ModelPath,
    to: Annotated[
        Literal["bergamot", "ctranslate2", "huggingface", "marian", "onnx"],
        typer.Option("--to", help="Format of the exported model."),
    ],
    output: NewFolder,
    held_out: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="SOURCE TARGET",
            help="Parallel files to verify the export with; default: the validation data of the run.",
        ),
    ] = None,
    source_language: SourceLanguage = None,
    target_language: TargetLanguage = None,
    quiet: Quiet = False,
) -> None:
    """Export a model for another program.

    The folder contains a README with an example. If the program is installed, the export is verified: tokens,
    log-probabilities and translations are compared. What the format cannot hold is an error (exit code 4).
    """
    from nmt_cli.commands.export import export as command

    verification = command(model, to, output, held_out or (), (source_language, target_language))
    console.info(f"{output}: {verification}")
    console.info(f"{output}: exported for {to}; see its README.md for usage")
