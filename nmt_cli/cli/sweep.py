"""Arguments of `nmt sweep`."""

from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.completion import complete_setting
from nmt_cli.cli.formatting import stdout_width
from nmt_cli.cli.options import DryRun, Json, Processes, Quiet, RecipePath, RunFolder, examples

EXAMPLES = examples(
    "nmt sweep recipe.yaml --set training.optimizer.learning_rate=5e-4,1e-3,2e-3",
    "nmt sweep recipe.yaml --set model.dropout=0.1,0.3 --set seed=1,2,3 --run runs/dropout",
    "nmt sweep recipe.yaml --set model.dropout=0,0.1,0.2,0.3 --set training.label_smoothing=0,0.1,0.2 --random 6",
)


def sweep(
    recipe: RecipePath,
    set_: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="KEY=A,B,…",
            autocompletion=complete_setting,
            help="Values of a setting to try, separated by commas; repeatable.",
        ),
    ],
    random: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=1000, help="Try N combinations, drawn at random, instead of all."),
    ] = None,
    run: RunFolder = None,
    nproc: Processes = None,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a recipe with all combinations of settings.

    Each combination is a run in the folder. Rerun the same command to resume; in another shell, or on another machine
    that shares the folder, it takes the combinations that are left. Prints a row for each run, best first.
    """
    from nmt_cli.commands.experiments import list_trials, row_of_trial
    from nmt_cli.commands.experiments import sweep as command
    from nmt_cli.commands.stdout import write_result
    from nmt_cli.reporting.tables.sweep import format_sweep, ranked

    trials = list_trials(recipe, set_, run, random)
    rows = ranked(map(row_of_trial, trials) if dry_run else command(recipe, trials, nproc, console))
    write_result([row.as_json() for row in rows] if json else format_sweep(rows, stdout_width()))
