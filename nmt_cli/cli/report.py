"""Arguments of `nmt report`."""

from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import Quiet, examples

EXAMPLES = examples(
    "nmt report runs/en-de",
    "nmt report recipe.yaml -o en-de.html",
    "nmt report runs/en-de --line 3 --line 17",
    "nmt report runs/en-de --attention 0",
)


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run, or a recipe (its run).")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write; report.html in the run if not given."),
    ] = None,
    attention: Annotated[
        int, typer.Option(metavar="N", min=0, max=100, help="Lines whose attention is drawn, if the model is there.")
    ] = 3,
    line: Annotated[
        list[int] | None,
        typer.Option(metavar="N", help="Show this line of the evaluated sets, and its attention; repeatable."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Make one HTML page of a run, which needs no network and no other file.

    Learning curves, data, samples, attention, scores, recipe, environment, hashes and cost. What the run does not hold
    yet is said in a sentence.
    """
    console.set_quiet(quiet)
    from nmt_cli.commands.report import report as command

    command(run, output, attention, line or [])
