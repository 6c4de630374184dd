"""Arguments of `nmt check`."""

from typing import Annotated

import typer

from nmt_cli.cli.options import Json, Overrides, Quiet, RecipePath, examples

IdentifyLanguagesOption = Annotated[
    bool,
    typer.Option(
        "--identify-languages", help="Also identify the language of each line; needs pip install 'nmt-cli[language]'."
    ),
]
EXAMPLES = examples(
    "nmt check recipe.yaml",
    "nmt check recipe.yaml --set tokenizer.vocabulary_size=4000",
    "nmt check recipe.yaml --json > check.json",
)


def check(
    recipe: RecipePath,
    set_: Overrides = None,
    json: Json = False,
    quiet: Quiet = False,
    identify_languages: IdentifyLanguagesOption = False,
) -> None:
    """Check the recipe and data before training.

    Checks files, lengths, alignment, languages, leaks, vocabulary, batch size, learning rate, memory and time. Changes
    nothing. Exit code 2 if the recipe has errors, 3 if the text has; 0 if there are only warnings.
    """
    from nmt_cli.commands.check import check as command
    from nmt_cli.commands.stdout import write_result
    from nmt_cli.recipe.loading import load_recipe

    report = command(load_recipe(recipe, set_ or []), recipe, identify_languages=identify_languages)
    write_result(report.as_json() if json else report.as_text())
    report.raise_for_errors()
