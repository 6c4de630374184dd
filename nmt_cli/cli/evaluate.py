"""Arguments of `nmt evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import Overrides, Quiet, examples

EXAMPLES = examples(
    "nmt evaluate recipe.yaml",
    "nmt evaluate runs/en-de --test test2016 --json",
    "nmt evaluate --hypothesis out.de --reference test.de",
)


def evaluate(
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL]", help="A run, a recipe, a checkpoint or a model folder.")
    ] = None,
    test: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this test set of the recipe; repeatable.")
    ] = None,
    hypothesis: Annotated[Path | None, typer.Option(metavar="FILE", help="Score this file, of any system.")] = None,
    reference: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Reference translations; repeatable.")
    ] = None,
    set_: Overrides = None,
    json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Score a model, or translations of any system.

    A model's translations, scores and a report to read go to evaluation/ in its run.
    """
    console.set_quiet(quiet)
    from nmt_cli.commands.evaluate import evaluate as command

    command(model, test or [], hypothesis, reference or [], set_ or [], json)
