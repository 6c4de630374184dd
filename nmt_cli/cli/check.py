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
    json: Annotated[bool, typer.Option("--json", help="Print what was found as one JSON object.")] = False,
    quiet: Quiet = False,
) -> None:
    """Look at a recipe and its text, and say what will go wrong.

    Files, lengths, sides, languages, leaks, subwords, batches and rates, memory and time. Changes nothing. Exit code 2
    if the recipe cannot work, 3 if its text cannot; 0 if there is nothing worse than warnings.
    """
    console.set_quiet(quiet)
    from nmt_cli.commands.check import check as command
    from nmt_cli.recipe.loading import load_recipe

    command(load_recipe(recipe, set_ or []), recipe, json)
