"""Arguments of `nmt translate`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import Overrides, Quiet, examples

EXAMPLES = examples(
    "nmt translate runs/en-de -i in.en -o out.de",
    "nmt translate runs/en-de < in.en > out.de",
    "nmt translate runs/en-de -i in.en --set decoding.beam_size=1",
    "nmt translate runs/en-de -i in.en --format nbest --set decoding.n_best=5",
    "nmt translate runs/en-de -i in.en --set decoding.strategy=sampling --set decoding.top_k=10",
)


class Format(StrEnum):
    """Forms of translations."""

    text = "text"
    nbest = "nbest"
    jsonl = "jsonl"
    tsv = "tsv"


Models = Annotated[
    list[Path], typer.Argument(metavar="MODEL", help="A run, a recipe (its run), a checkpoint or a model folder.")
]
Input = Annotated[
    Path | None, typer.Option("--input", "-i", metavar="FILE", help="Lines to translate; stdin if not given.")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write; stdout if not given.")
]
WrittenAs = Annotated[Format, typer.Option("--format", help="How to write translations.")]


def translate(
    model: Models,
    input_: Input = None,
    output: Output = None,
    format_: WrittenAs = Format.text,
    set_: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Translate lines: one out for each one in, in the same order."""
    console.set_quiet(quiet)
    from nmt_cli.commands.translate import translate as command
    from nmt_cli.commands.translators import TranslatorOptions

    command(TranslatorOptions(tuple(model), tuple(set_ or [])), input_, output, format_.value)
