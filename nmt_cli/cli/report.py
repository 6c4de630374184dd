"""Command line of `nmt report`."""

from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import Quiet, RunPath, examples

EXAMPLES = examples(
    "nmt report runs/en-de",
    "nmt report recipe.yaml -o en-de.html",
    "nmt report runs/en-de --line 3 --line 17",
    "nmt report runs/en-de --attention 0",
)


def report(
    run: RunPath,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="File to write; by default report.html in the run."),
    ] = None,
    attention: Annotated[
        int, typer.Option(metavar="N", min=0, max=100, help="Number of lines whose attention to plot.")
    ] = 3,
    line: Annotated[
        list[int] | None,
        typer.Option(metavar="N", help="Show this line of the test sets and its attention; repeatable."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write a report on a run as a single HTML page.

    Scores, breakdown, learning curves, data, samples, attention, environment, cost and recipe. The page needs neither
    network nor other files. Missing parts are named.
    """
    from nmt_cli.commands.report import report as write_report

    write_report(run, output, attention, line or [], console)
