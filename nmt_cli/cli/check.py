"""Arguments of `nmt check`."""

from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import Overrides, Quiet, RecipePath, examples

EXAMPLES = examples(
    "nmt check recipe.yaml",
    "nmt check recipe.yaml --set tokenizer.vocabulary_size=4000",
    "nmt check recipe.yaml --json > check.json",
)


def check(
    recipe: RecipePath,
    set_: Overrides = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
    quiet: Quiet = False,
) -> None:
    """Check the recipe and data before training.

    Checks files, lengths, alignment, languages, leaks, vocabulary, batch size, learning rate, memory and time. Changes
    nothing. Exit code 2 if the recipe has errors, 3 if the text has; 0 if there are only warnings.
    """
    console.set_quiet(quiet)
    from nmt_cli import files
    from nmt_cli.commands.check import check as command
    from nmt_cli.commands.stdout import open_stdout
    from nmt_cli.recipe.loading import load_recipe

    report = command(load_recipe(recipe, set_ or []), recipe)
    with open_stdout() as stream:
        stream.write(files.json_bytes(report.as_json()) if json else report.as_text().encode())
    report.raise_for_errors()
