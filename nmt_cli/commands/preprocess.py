"""nmt preprocess: from raw text to tokenizer and token arrays."""

from nmt_cli.commands.taken_tokenizer import taken_tokenizer
from nmt_cli.console import info, table
from nmt_cli.data.inventory import read_inventory
from nmt_cli.data.preparation.preparing import WHOLE, Job, check_paths, clear_away, prepare
from nmt_cli.data.prepared import is_current, open_prepared
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.data.prepared import corpora_table, losses


def preprocess(recipe: Recipe, job: Job = WHOLE, processes: int = 1, dry_run: bool = False) -> None:
    """Fill the recipe's prepared folder, unless it already holds just that; or do one job's part of that."""
    folder = recipe.data.prepared
    check_paths(recipe)
    taken = taken_tokenizer(recipe)
    if is_current(recipe, taken):
        if not dry_run:
            clear_away(folder)
        info(f"{folder} is up to date; nothing to do")
        return
    corpora = {**recipe.data.train, **recipe.data.valid}
    if taken:
        info(f"the tokenizer is that of {recipe.tokenizer.take_from}; other settings of it do not count")
    what = f"part {job.part} of " if not job.merges else "the parts made of " if job.part is None else ""
    doing = ("join" if job.part is None else "prepare") if dry_run else "joining" if job.part is None else "preparing"
    info(f"{'would ' if dry_run else ''}{doing} {what}{', '.join(corpora)} in {folder}")
    if dry_run:
        return
    prepare(recipe, taken, job, processes)
    if not job.merges:
        assert job.part is not None
        info(f"part {job.part} is ready; when all are, run: nmt preprocess --merge, with the same recipe")
        return
    _report(recipe, open_prepared(recipe, taken).tokenizer)
    info(f"{folder} is ready; next: nmt train, with the same recipe")


def _report(recipe: Recipe, tokenizer: Tokenizer) -> None:
    inventory = read_inventory(recipe.data.prepared)
    table("Corpora: pairs, and subwords of each side", *corpora_table(inventory))
    for line in losses(inventory):
        info(line)
    if tokenizer.joint:
        info(f"vocabulary: {tokenizer.source_size:,} subwords for both languages")
    else:
        info(f"vocabularies: {tokenizer.source_size:,} source and {tokenizer.target_size:,} target subwords")
