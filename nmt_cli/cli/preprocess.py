"""Arguments of `nmt preprocess`."""

from nmt_cli import console
from nmt_cli.cli.options import DryRun, Overrides, Quiet, RecipePath, examples

EXAMPLES = examples("nmt preprocess recipe.yaml", "nmt preprocess recipe.yaml --set tokenizer.vocabulary_size=4000")


def preprocess(recipe: RecipePath, set_: Overrides = None, dry_run: DryRun = False, quiet: Quiet = False) -> None:
    """Learn subwords and prepare the recipe's text.

    Does nothing if that is done already.
    """
    console.set_quiet(quiet)
    from nmt_cli.commands.preprocess import preprocess as command
    from nmt_cli.recipe.loading import load_recipe

    command(load_recipe(recipe, set_ or []), dry_run)
