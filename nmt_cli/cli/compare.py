"""Arguments of `nmt compare`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import Overrides, Quiet, examples

EXAMPLES = examples(
    "nmt compare runs/gru runs/transformer --html comparison.html",
    "nmt compare runs/gru runs/base_seed1 runs/base_seed2 runs/base_seed3 --test test2016",
    "nmt compare old.de new.de --reference test.de --source test.en --method bootstrap",
    "nmt compare runs/gru runs/transformer --set evaluation.metrics=[bleu,chrf,ter] --json",
)


class Method(StrEnum):
    """Tests of significance."""

    bootstrap = "bootstrap"
    randomisation = "randomisation"


def compare(
    systems: Annotated[
        list[Path],
        typer.Argument(metavar="A B...", help="Runs, checkpoints, evaluated sets or files of translations."),
    ],
    test: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this test set; repeatable.")] = None,
    reference: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="What files are judged by; repeatable.")
    ] = None,
    source: Annotated[Path | None, typer.Option(metavar="FILE", help="Source lines of files.")] = None,
    method: Annotated[
        Method, typer.Option(help="Approximate randomisation, or sacreBLEU's paired bootstrap.")
    ] = Method.randomisation,
    resamples: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=1_000_000, help="10,000 if not given; 1,000 for the bootstrap."),
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with pictures, too.")] = None,
    set_: Overrides = None,
    json: Annotated[bool, typer.Option("--json", help="Print all that is found as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Say which system is better, where, and how sure that is.

    Each is tested against the first. Runs of one recipe with several seeds are one system.
    """
    console.set_quiet(quiet)
    from nmt_cli.commands.compare import Options, compare_systems

    options = Options(test or [], reference or [], source, method.value, resamples, set_ or [])
    compare_systems(systems, options, json, html)
