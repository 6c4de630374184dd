"""Arguments of `nmt preprocess`."""

from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import DryRun, Overrides, Quiet, RecipePath, examples

EXAMPLES = examples(
    "nmt preprocess recipe.yaml",
    "nmt preprocess recipe.yaml --set tokenizer.vocabulary_size=4000",
    "nmt preprocess recipe.yaml --shard 2/8  # one of eight jobs, on any machines that share a disk",
    "nmt preprocess recipe.yaml --merge      # when all eight are done",
)


def preprocess(
    recipe: RecipePath,
    set_: Overrides = None,
    nproc: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Processes; one for each core if not given.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Do one of N parts of the work only; --merge joins them.")
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Check and join what jobs with --shard have made.")] = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Clean the recipe's text, learn subwords, and prepare what training reads.

    Does nothing if that is done already, and goes on where it was stopped.
    """
    console.set_quiet(quiet)
    from nmt_cli.commands.preprocess import preprocess as command
    from nmt_cli.data.preparation.preparing import Job
    from nmt_cli.errors import RecipeError
    from nmt_cli.processes import available_cores
    from nmt_cli.processes.sharding import ShardSpec
    from nmt_cli.recipe.loading import load_recipe

    if shard and merge:
        raise RecipeError("--merge: joins the parts that --shard makes; give one of the two")
    job = Job(None) if merge else Job(ShardSpec.parse(shard), merges=False) if shard else Job()
    command(load_recipe(recipe, set_ or []), job, nproc or available_cores(), dry_run)
