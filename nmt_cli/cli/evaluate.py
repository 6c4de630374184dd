"""Arguments of `nmt evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import Overrides, Quiet, examples

EXAMPLES = examples(
    "nmt evaluate recipe.yaml",
    "nmt evaluate runs/en-de --test test2016 --json",
    "nmt evaluate runs/en-de --robustness",
    "nmt evaluate --hypothesis out.de --reference test.de",
)


def evaluate(
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL]", help="A run, a recipe, a checkpoint or a model folder.")
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this test or validation set of the recipe; repeatable."),
    ] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Translate capitals, typing mistakes and open ends, too.")
    ] = False,
    hypothesis: Annotated[Path | None, typer.Option(metavar="FILE", help="Score this file, of any system.")] = None,
    reference: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Reference translations; repeatable.")
    ] = None,
    source: Annotated[Path | None, typer.Option(metavar="FILE", help="Source lines, if a metric needs them.")] = None,
    set_: Overrides = None,
    json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Score a model, or translations of any system.

    A model's translations, scores and a report to read go to evaluation/ in its run.
    """
    console.set_quiet(quiet)
    from nmt_cli.commands.evaluate import GivenFiles, Wanted
    from nmt_cli.commands.evaluate import evaluate as command

    given = GivenFiles(hypothesis, tuple(reference or ()), source)
    command(model, test or [], given, set_ or [], Wanted(json, robustness))
