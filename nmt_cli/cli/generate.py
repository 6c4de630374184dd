"""Arguments of `nmt generate`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt_cli import console
from nmt_cli.cli.options import Adapter, ModelPath, Overrides, Quiet, examples
from nmt_cli.errors import RecipeError

EXAMPLES = examples(
    "nmt generate runs/plays --prompt 'ROMEO:'",
    "nmt generate runs/plays --prompt '' --set decoding.max_length=500",
    "nmt generate runs/plays --prompt 'O,' --set decoding.temperature=0.8 --set decoding.top_k=20 --format jsonl",
    "nmt generate runs/plays -i prompts.txt --set decoding.strategy=beam --set decoding.beam_size=4",
)


def generate(
    model: ModelPath,
    prompt: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Text to continue; default: each line of the input is a prompt."),
    ] = None,
    input_: Annotated[
        Path | None, typer.Option("--input", "-i", metavar="FILE", help="Prompts, one per line; default: stdin.")
    ] = None,
    format_: Annotated[
        Literal["text", "jsonl"],
        typer.Option("--format", help="Continuations without their prompts, or JSON objects with scores."),
    ] = "text",
    adapter: Adapter = None,
    set_: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Continue text with a language model.

    Text appears while it is made if the search has one hypothesis. It ends with the document, or after
    decoding.max_length subwords; by default, as many as the model reads at once.
    """
    if prompt is not None and input_ is not None:
        raise RecipeError("--input: has the prompts, so that --prompt must be left out")
    from nmt_cli.commands.generate import generate as command

    for warning in command(model, prompt, input_, set_ or [], format_, adapter, console).warnings:
        console.warn(warning)
