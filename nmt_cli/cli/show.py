"""Command line of `nmt show`."""

from pathlib import Path
from typing import Annotated

import typer

from nmt_cli.cli.completion import complete_run
from nmt_cli.cli.options import Json, examples
from nmt_cli.errors import DataError

EXAMPLES = examples("nmt show runs/en-de", "nmt show runs/en-de/model --check", "nmt show metrics.jsonl --json")


def show(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", autocompletion=complete_run, help="A file or folder written by nmt.")
    ],
    check: Annotated[bool, typer.Option("--check", help="Also compare all files with their hashes.")] = False,
    json: Json = False,
) -> None:
    """Describe any nmt file or folder and suggest the next command.

    PATH may be a run, checkpoint, model, prepared data, tokenizer, evaluation, training log, file of hypotheses,
    recipe, export or report. Exit code 3 if it is unknown, 3 or 4 if it is damaged.
    """
    from nmt_cli.commands.stdout import write_result
    from nmt_cli.reporting.inspection import describe_path, find_damage, format_description

    description = describe_path(path)
    damage = find_damage(description) if check else None
    write_result(description.as_json(damage) if json else format_description(path, description, damage))
    if damage:
        raise DataError("\n".join(damage))
