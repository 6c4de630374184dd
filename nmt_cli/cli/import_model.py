"""Command line of `nmt import`."""

from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import Overrides, Quiet, examples

EXAMPLES = examples("nmt import opus-mt-en-de -o models/en-de", "nmt translate models/en-de < in.txt > out.txt")


def import_model(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="Folder or zip archive of the other toolkit's model.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Model folder to write.")],
    source_language: Annotated[
        str | None, typer.Option("--source-language", metavar="CODE", help="Source language, if the folder has none.")
    ] = None,
    target_language: Annotated[
        str | None, typer.Option("--target-language", metavar="CODE", help="Target language, if the folder has none.")
    ] = None,
    overrides: Overrides = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare with the model's own program, if it is installed.")
    ] = True,
    quiet: Quiet = False,
) -> None:
    """Convert a model of another toolkit to a model folder.

    SOURCE is a folder with a model of Hugging Face transformers (Marian, BART, mBART, M2M-100, NLLB, Pegasus, T5), of
    Marian (npz) or of CTranslate2, recognised by its contents, or a zip archive of one, as OPUS-MT has them. All other
    commands then treat the model as one of their
    own. Exit code 4 if something in it cannot be represented.
    """
    from nmt_cli.commands.import_model import import_model as command

    command(source, output, (source_language, target_language), overrides or [], verify)
    console.info(f"next: nmt show {output}")
