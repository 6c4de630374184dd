"""Arguments of `nmt attention`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt_cli import console
from nmt_cli.cli.options import (
    Adapter,
    Json,
    ModelPath,
    Overrides,
    Quiet,
    SourceLanguage,
    TargetLanguage,
    examples,
    refuse_ignored,
)
from nmt_cli.errors import RecipeError

EXAMPLES = examples(
    'nmt attention runs/en-de "Two dogs are playing."',
    'nmt attention runs/en-de "Two dogs are playing." -o attention.svg',
    'nmt attention runs/en-de "Two dogs are playing." --layer 2 --head 1 -o head.png',
    'nmt attention runs/en-de "Two dogs." --translation "Zwei Hunde." --kind decoder --json',
)


def attention(
    model: ModelPath,
    line: Annotated[str, typer.Argument(metavar="LINE", help="Source line.")],
    translation: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Translation to look at; default: that of the model.")
    ] = None,
    kind: Annotated[
        Literal["cross", "encoder", "decoder"],
        typer.Option(help="From translation to source, within the source, or within the translation."),
    ] = "cross",
    layer: Annotated[int | None, typer.Option(metavar="N", min=1, help="Only this layer, from 1.")] = None,
    head: Annotated[int | None, typer.Option(metavar="N", min=1, help="Only this head, from 1.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write .svg, .png or .json instead.")
    ] = None,
    source_language: SourceLanguage = None,
    target_language: TargetLanguage = None,
    adapter: Adapter = None,
    set_: Overrides = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what a model attends to while it translates a line.

    On the terminal, the mean over the heads of the last layer, unless a layer or head is chosen; files and JSON have
    all layers and heads. Darker cells mean more attention.
    """
    refuse_ignored({"--json": json and output is not None}, "with --output; name a .json file there")
    suffix = output.suffix.lower() if output is not None else ""
    if output is not None and suffix not in (".svg", ".png", ".json"):
        raise RecipeError(f"{output}: the name must end in .svg, .png or .json")
    from nmt_cli import files
    from nmt_cli.commands.attention import attention_heads
    from nmt_cli.commands.stdout import write_result
    from nmt_cli.decoding.requests import TranslateOptions

    if output is not None:
        files.require_folder_of(output)
    options = TranslateOptions(
        (model,),
        overrides=tuple(set_ or ()),
        adapter=adapter,
        source_language=source_language,
        target_language=target_language,
    )
    every = attention_heads(line, translation, kind, options)
    chosen = every.selected(layer, head)
    if output is not None:
        if suffix == ".png":
            content = chosen.as_png()
        else:
            content = chosen.as_svg().encode() if suffix == ".svg" else files.json_bytes(chosen.as_json())
        with files.output_file(output) as file:
            file.write(content)
        console.info(f"attention: {output}")
    elif json:
        write_result(chosen.as_json())
    else:
        write_result((every.averaged() if layer is None and head is None else chosen).as_text())
