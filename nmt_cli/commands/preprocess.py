"""nmt preprocess: from raw text to a tokenizer and token arrays."""

import numpy as np

from nmt_cli import console
from nmt_cli.commands.pretrained_tokenizer import pretrained_tokenizer
from nmt_cli.console import Reporter
from nmt_cli.data.checking.pairs import check_upsampling, needed_upsampling
from nmt_cli.data.preparation.manifest import PreparedSummary, read_prepared_summary
from nmt_cli.data.preparation.preparing import ALL_WORK, PreprocessJob, check_paths, prepare, remove_leftovers
from nmt_cli.data.prepared import Prepared, is_current, open_prepared
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.model import CtcSettings
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.data_report import corpora_table, drop_lines

_PAIRS_AT_ONCE = 100_000
"""Pairs whose tokens are read at once to compare their lengths."""


def preprocess(
    recipe: Recipe,
    job: PreprocessJob = ALL_WORK,
    num_processes: int = 1,
    dry_run: bool = False,
    reporter: Reporter = console,
) -> PreparedSummary | None:
    """Prepare the data of a recipe unless that is done, or do one job of it.

    Returns:
        The summary of the prepared data; None if there is none yet, or none was made.
    """
    if recipe.training.start_from is not None:
        from nmt_cli.commands.starting import with_start  # imports torch, which takes seconds

        recipe = with_start(recipe)
    folder = recipe.data.prepared
    check_paths(recipe)
    pretrained = pretrained_tokenizer(recipe)
    if is_current(recipe, pretrained):
        if not dry_run:
            remove_leftovers(folder)
        reporter.info(f"{folder} is up to date; nothing to do")
        return read_prepared_summary(folder)
    if pretrained:
        reporter.info(f"using the tokenizer of {recipe.tokenizer.path}; other tokenizer settings are ignored")
    reporter.info(_plan(recipe, job, dry_run))
    if dry_run:
        return None
    prepare(recipe, pretrained, job, num_processes)
    if not job.merge:
        reporter.info(f"shard {job.shard} is ready")
        return None
    summary = read_prepared_summary(folder)
    prepared = open_prepared(recipe, pretrained)
    is_monolingual, token_unit = recipe.data.is_monolingual, _token_unit(prepared.tokenizer)
    title = f"{recipe.data.unit.capitalize()} of each corpus, and their {token_unit}"
    reporter.table(title, *corpora_table(summary, is_monolingual))
    for line in drop_lines(summary, "documents" if is_monolingual else "pairs"):
        reporter.info(line)
    if isinstance(recipe.model, CtcSettings):
        _report_upsampling(recipe.model, prepared, reporter)
    tokenizer = prepared.tokenizer
    if tokenizer.joint:
        sides = "" if is_monolingual else " for both languages"
        reporter.info(f"vocabulary: {tokenizer.source_size:,} {token_unit}{sides}")
    else:
        reporter.info(
            f"vocabularies: {tokenizer.source_size:,} source and {tokenizer.target_size:,} target {token_unit}"
        )
    reporter.info(f"{folder} is ready")
    return summary


def _token_unit(tokenizer: Tokenizer) -> str:
    """Return what tokens are, for messages."""
    units = {"word": "words", "character": "characters", "byte": "bytes"}
    return units.get(tokenizer.target.segmenter.name, "subwords")


def _report_upsampling(settings: CtcSettings, prepared: Prepared, reporter: Reporter) -> None:
    """Report how many pairs of each corpus a CTC model can neither learn nor score."""
    corpora = {f"data.train.{corpus.name}": corpus for corpus in prepared.train}
    for key, corpus in (corpora | {f"data.valid.{name}": each for name, each in prepared.valid.items()}).items():
        starts = range(0, len(corpus), _PAIRS_AT_ONCE)
        parts = (corpus.read(np.array([[start, min(start + _PAIRS_AT_ONCE, len(corpus))]])) for start in starts)
        needed = np.concatenate([needed_upsampling(part.source_lengths, part.targets) for part in parts])
        for finding in check_upsampling(key, needed, settings.upsampling):
            report = reporter.warn if finding.level == "warning" else reporter.info
            report(f"{finding.where}: {finding.message}; {finding.advice}")


def _plan(recipe: Recipe, job: PreprocessJob, dry_run: bool) -> str:
    verb = "merge" if job.shard is None else "prepare"
    verb = f"would {verb}" if dry_run else "merging" if job.shard is None else "preparing"
    shards = "" if job.merge and job.shard else f"shard {job.shard} of " if job.shard else "the shards of "
    corpora = ", ".join({**recipe.data.train, **recipe.data.valid})
    return f"{verb} {shards}{corpora} in {recipe.data.prepared}"
