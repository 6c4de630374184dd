"""Command line of `nmt shortlist`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import Json, ModelPath, Quiet, examples

EXAMPLES = examples(
    "nmt shortlist runs/en-de",
    "nmt translate runs/en-de --set decoding.shortlist=true < in.txt > out.txt",
    "nmt shortlist en-de-model --corpus train.en train.de",
)


def shortlist(
    model: ModelPath,
    corpus: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="SOURCE TARGET", help="Parallel files; default: the prepared training data of the model's run."
        ),
    ] = None,
    best: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help="Maximum translations of each source subword.")
    ] = 50,
    min_probability: Annotated[
        float, typer.Option(metavar="P", min=0, max=1, help="Minimum probability of a translation.")
    ] = 0.001,
    frequent: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=100_000, help="Most frequent target subwords, which any translation may contain."
        ),
    ] = 100,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Add a shortlist to a model: the subwords that translations of each source subword may contain.

    With decoding.shortlist: true, search considers only those, which is faster with a large vocabulary.
    """
    from nmt_cli.commands.shortlist import ShortlistOptions, write_shortlist
    from nmt_cli.commands.stdout import write_result

    options = ShortlistOptions(best, min_probability, frequent)
    result = write_shortlist(model, corpus or (), options, console)
    if json:
        write_result(asdict(result))
    console.info(
        f"{result.path}: {result.mean_size:,.0f} subwords for a sentence on average, with {result.coverage:.2%} of"
        " those of the references"
    )
    console.info(f"next: {console.command_line('nmt', 'translate', model, '--set', 'decoding.shortlist=true')}")
