"""Arguments of `nmt preprocess`."""

from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import MAX_PROCESSES, DryRun, Overrides, Quiet, RecipePath, examples

EXAMPLES = examples(
    "nmt preprocess recipe.yaml",
    "nmt preprocess recipe.yaml --set tokenizer.vocabulary_size=4000",
    "nmt preprocess recipe.yaml --shard 2/8",
    "nmt preprocess recipe.yaml --merge",
)


def preprocess(
    recipe: RecipePath,
    set_: Overrides = None,
    nproc: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=MAX_PROCESSES, help="Number of processes; default: all cores."),
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Prepare only shard I of N; then run --merge.")
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Verify and merge the finished shards.")] = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Clean a recipe's text, train its tokenizer, encode the text.

    Does nothing if the prepared data is up to date. Rerun the same command to resume after an interruption. The shards
    of --shard are jobs on any machines that share a disk; when all are done, --merge combines them.
    """
    from nmt_cli.commands.preprocess import preprocess as command
    from nmt_cli.data.preparation.preparing import ALL_WORK, PreprocessJob
    from nmt_cli.errors import RecipeError
    from nmt_cli.processes import ShardSpec
    from nmt_cli.processes.pool import available_cores
    from nmt_cli.recipe.loading import load_recipe

    if shard and merge:
        raise RecipeError("--merge and --shard: give only one; --merge combines the finished shards")
    job = ALL_WORK
    if merge:
        job = PreprocessJob(shard=None)
    elif shard:
        job = PreprocessJob(ShardSpec.parse(shard), merge=False)
    command(load_recipe(recipe, set_ or []), job, nproc or available_cores(), dry_run)
    if not dry_run:
        options = [word for each in set_ or [] for word in ("--set", each)]
        if job.merge:
            console.info(f"next: {console.command_line('nmt', 'train', recipe, *options)}")
        else:
            merge_command = console.command_line("nmt", "preprocess", recipe, *options, "--merge")
            console.info(f"next, when all shards are ready: {merge_command}")
