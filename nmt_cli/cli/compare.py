"""Command line of `nmt compare`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.completion import complete_run
from nmt_cli.cli.formatting import highlight, stdout_width
from nmt_cli.cli.options import AllowCommands, Json, Overrides, Quiet, ScoredLanguage, examples

EXAMPLES = examples(
    "nmt compare runs/gru runs/transformer --html comparison.html",
    "nmt compare runs/gru runs/base_seed1 runs/base_seed2 runs/base_seed3 --test test2016",
    "nmt compare old.de new.de --reference test.de --source test.en --method bootstrap",
    "nmt compare runs/gru runs/transformer --set 'evaluation.metrics=[bleu,chrf,ter]' --json",
)


class MethodOption(StrEnum):
    """Significance tests."""

    bootstrap = "bootstrap"
    randomisation = "randomisation"


def compare(
    systems: Annotated[
        list[Path],
        typer.Argument(
            metavar="SYSTEM",
            autocompletion=complete_run,
            help="Runs, checkpoints, evaluated test sets or files of translations.",
        ),
    ],
    test: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Compare only on this test set; repeatable.")
    ] = None,
    reference: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Reference translations of files; repeatable.")
    ] = None,
    source: Annotated[Path | None, typer.Option(metavar="FILE", help="Source lines of files.")] = None,
    method: Annotated[
        MethodOption, typer.Option(help="Approximate randomisation, or paired bootstrap as in sacreBLEU.")
    ] = MethodOption.randomisation,
    resamples: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=1_000_000, help="Number of resamples; by default 10,000, or 1,000 for bootstrap."
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the comparison as an HTML page with plots.")
    ] = None,
    target_language: ScoredLanguage = None,
    allow_commands: AllowCommands = False,
    set_: Overrides = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare systems, with significance tests and a breakdown.

    Each system is tested against the first. Runs whose recipes differ only in their seed count as one system.
    """
    from dataclasses import asdict

    from nmt_cli.commands.compare import CompareOptions, compare_systems
    from nmt_cli.commands.stdout import write_result
    from nmt_cli.reporting.terminal import format_comparison

    options = CompareOptions(
        test or [], reference or [], source, method.value, resamples, set_ or [], target_language, allow_commands
    )
    comparisons = compare_systems(systems, options, html, console)
    if json:
        write_result({name: asdict(each) for name, each in comparisons.items()})
    else:
        width = stdout_width()
        write_result("\n".join(format_comparison(each, width, highlight) for each in comparisons.values()))
