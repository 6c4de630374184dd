"""Command line of `nmt compare`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nmt_cli import console
from nmt_cli.cli.completion import complete_run
from nmt_cli.cli.formatting import highlight, stdout_width
from nmt_cli.cli.options import AllowCommands, Json, Overrides, Quiet, ScoredLanguage, examples, refuse_ignored
from nmt_cli.errors import RecipeError

if TYPE_CHECKING:
    from nmt_cli.evaluation.system_comparison import Comparison

EXAMPLES = examples(
    "nmt compare runs/gru runs/transformer --html comparison.html",
    "nmt compare runs/gru runs/base_seed1 runs/base_seed2 runs/base_seed3 --test test2016",
    "nmt compare runs/base runs/no_dropout --ablation --format latex",
    "nmt compare runs/gru runs/transformer --sheet judge --judgement preference",
    "nmt compare --sheet judge --returned ann.tsv --returned bob.tsv",
    "nmt compare old.de new.de --reference test.de --source test.en --method bootstrap",
    "nmt compare runs/gru runs/transformer --set 'evaluation.metrics=[bleu,chrf,ter]' --json",
)


Layout = Literal["text", "markdown", "latex", "csv", "json"]
FormatOption = Annotated[
    Layout, typer.Option(help="Layout of the result; the tables mark significant differences as papers do.")
]
MethodOption = Annotated[
    Literal["bootstrap", "randomisation"],
    typer.Option(help="Approximate randomisation, or paired bootstrap as in sacreBLEU."),
]
JudgementOption = Annotated[
    Literal["direct", "preference"],
    typer.Option(help="What judges give on a sheet: scores from 0 to 100, or the better of two."),
]
_LINES = 100
"""Lines of a sheet by default."""
SystemsArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="SYSTEM",
        autocompletion=complete_run,
        help="Runs, checkpoints, evaluated test sets or files of translations.",
    ),
]
TestOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Compare only on this test set; repeatable.")
]
ResamplesOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, max=1_000_000, help="Number of resamples; by default 10,000, or 1,000 for bootstrap."
    ),
]
AblationOption = Annotated[
    bool,
    typer.Option(
        "--ablation", help="In tables, name systems by the settings that differ from the first, with differences."
    ),
]
HtmlOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Also write the comparison as an HTML page with plots.")
]
SheetOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Write a blind sheet for human judges to a new folder, and a campaign for Pearmut."
    ),
]
ReturnedOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="Analyse sheets that came back, one for each annotator; repeatable."),
]
LinesOption = Annotated[int, typer.Option(metavar="N", min=1, help="Lines of a sheet, drawn at random.")]
ReferenceOption = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="Reference translations of files; repeatable.")
]


def compare(
    systems: SystemsArgument = None,
    test: TestOption = None,
    reference: ReferenceOption = None,
    source: Annotated[Path | None, typer.Option(metavar="FILE", help="Source lines of files.")] = None,
    method: MethodOption = "randomisation",
    resamples: ResamplesOption = None,
    format: FormatOption = "text",
    ablation: AblationOption = False,
    html: HtmlOption = None,
    sheet: SheetOption = None,
    judgement: JudgementOption = "direct",
    lines: LinesOption = _LINES,
    returned: ReturnedOption = None,
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
    for_sheets = {"--returned": returned, "--judgement": judgement != "direct", "--lines": lines != _LINES}
    if sheet is not None:
        scoring = {
            "--reference": reference,
            "--source": source,
            "--method": method != "randomisation",
            "--resamples": resamples,
            "--format": format != "text",
            "--ablation": ablation,
            "--html": html,
            "--target-language": target_language,
            "--allow-commands": allow_commands,
            "--set": set_,
        }
        refuse_ignored(scoring, "with --sheet")
        _use_sheet(sheet, systems or [], test or [], judgement, lines, returned or [], json)
        return
    refuse_ignored(for_sheets, "without --sheet")
    if not systems:
        raise RecipeError("give runs, evaluated sets or files of translations to compare")
    from nmt_cli.commands.compare import CompareOptions, compare_systems
    from nmt_cli.commands.stdout import write_result

    layout = _layout(format, json, ablation)
    options = CompareOptions(
        test or [], reference or [], source, method, resamples, set_ or [], target_language, allow_commands
    )
    comparisons = compare_systems(systems, options, html, console)
    write_result(_formatted(comparisons, layout, ablation))


def _layout(format: Layout, json: bool, ablation: bool) -> Layout:
    if json and format not in ("text", "json"):
        raise RecipeError(f"--json: is another layout than --format {format}; remove one of them")
    layout: Layout = "json" if json else format
    if ablation and layout in ("text", "json"):
        raise RecipeError("--ablation: requires --format markdown, latex or csv")
    return layout


def _use_sheet(
    folder: Path,
    systems: list[Path],
    test: list[str],
    judgement: Literal["direct", "preference"],
    lines: int,
    returned: list[Path],
    json: bool,
) -> None:
    """Write a sheet for human judges, or analyse those that came back."""
    from nmt_cli.commands.annotation_sheets import analyse_sheets, as_json, write_sheet
    from nmt_cli.commands.stdout import write_result
    from nmt_cli.reporting.terminal import format_human_evaluation

    if bool(systems) == bool(returned):
        raise RecipeError("--sheet: give the systems to judge, or the sheets that came back with --returned FILE")
    if returned:
        refuse_ignored(
            {"--test": test, "--judgement": judgement != "direct", "--lines": lines != _LINES}, "with --returned"
        )
        result = analyse_sheets(folder, returned)
        write_result(as_json(result) if json else format_human_evaluation(result))
    else:
        refuse_ignored({"--json": json}, "without --returned")
        if folder.exists():
            raise RecipeError(f"{folder}: exists; name a new folder for the sheet")
        write_sheet(systems, test, folder, judgement, lines, console)


def _formatted(comparisons: "dict[str, Comparison]", layout: Layout, ablation: bool) -> Any:
    from nmt_cli.reporting.tables.comparison import format_table
    from nmt_cli.reporting.terminal import format_comparison

    if layout == "json":
        return {name: asdict(each) for name, each in comparisons.items()}
    if layout == "text":
        width = stdout_width()
        return "\n".join(format_comparison(each, width, highlight) for each in comparisons.values())
    return format_table(comparisons, layout, ablation)
