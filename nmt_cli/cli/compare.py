"""Command line of `nmt compare`."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmt_cli import console
from nmt_cli.cli.completion import complete_run
from nmt_cli.cli.formatting import highlight, stdout_width
from nmt_cli.cli.options import AllowCommands, Json, Overrides, Quiet, ScoredLanguage, examples
from nmt_cli.errors import RecipeError

if TYPE_CHECKING:
    from nmt_cli.evaluation.system_comparison import Comparison

EXAMPLES = examples(
    "nmt compare runs/gru runs/transformer --html comparison.html",
    "nmt compare runs/gru runs/base_seed1 runs/base_seed2 runs/base_seed3 --test test2016",
    "nmt compare runs/base runs/no_dropout --ablation --format latex",
    "nmt compare old.de new.de --reference test.de --source test.en --method bootstrap",
    "nmt compare runs/gru runs/transformer --set 'evaluation.metrics=[bleu,chrf,ter]' --json",
)


class FormatOption(StrEnum):
    """Layouts of a comparison."""

    text = "text"
    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    json = "json"


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
    format: Annotated[
        FormatOption, typer.Option(help="Layout of the result; the tables mark significant differences as papers do.")
    ] = FormatOption.text,
    ablation: Annotated[
        bool,
        typer.Option(
            "--ablation", help="In tables, name systems by the settings that differ from the first, with differences."
        ),
    ] = False,
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

    Each system is tested against the first. Runs whose recipes differ only in their seed count as one system, and the
    folder of nmt train --seeds stands for them.
    """
    from nmt_cli.commands.compare import CompareOptions, compare_systems
    from nmt_cli.commands.stdout import write_result

    layout = FormatOption.json if json else format
    if ablation and layout in (FormatOption.text, FormatOption.json):
        raise RecipeError("--ablation: requires --format markdown, latex or csv")

    options = CompareOptions(
        test or [], reference or [], source, method.value, resamples, set_ or [], target_language, allow_commands
    )
    comparisons = compare_systems(systems, options, html, console)
    write_result(_formatted(comparisons, layout, ablation))


def _formatted(comparisons: "dict[str, Comparison]", layout: FormatOption, ablation: bool) -> Any:
    from nmt_cli.reporting.tables.comparison import format_table
    from nmt_cli.reporting.terminal import format_comparison

    if layout is FormatOption.json:
        return {name: asdict(each) for name, each in comparisons.items()}
    if layout is FormatOption.text:
        width = stdout_width()
        return "\n".join(format_comparison(each, width, highlight) for each in comparisons.values())
    return format_table(comparisons, layout.value, ablation)
