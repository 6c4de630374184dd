"""nmt preprocess: from raw text to a tokenizer and token arrays."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from nmt_cli import console
from nmt_cli.commands.pretrained_tokenizer import pretrained_tokenizer
from nmt_cli.console import Reporter
from nmt_cli.data.checking.pairs import check_upsampling, needed_upsampling
from nmt_cli.data.preparation.length_tags import LengthTagger
from nmt_cli.data.preparation.manifest import PreparedSummary, read_prepared_summary
from nmt_cli.data.preparation.preparing import ALL_WORK, PreprocessJob, check_paths, prepare, remove_leftovers
from nmt_cli.data.prepared import Prepared, is_current, open_prepared
from nmt_cli.data.token_corpus import TokenCorpus, TokenPairs
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.adapting import LENGTH_BOUNDS
from nmt_cli.recipe.model import CtcSettings
from nmt_cli.recipe.schema import Recipe
from nmt_cli.recipe.section import LENGTH_CLASSES, LengthClass
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
    if recipe.data.length_tags:
        _report_length_classes(recipe.data.length_bounds or prepared.adapted[LENGTH_BOUNDS], prepared, reporter)
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


def _parts(corpus: TokenCorpus) -> Iterator[TokenPairs]:
    """Read the pairs of a corpus, _PAIRS_AT_ONCE at once."""
    for start in range(0, len(corpus), _PAIRS_AT_ONCE):
        yield corpus.read(np.array([[start, min(start + _PAIRS_AT_ONCE, len(corpus))]]))


def _report_length_classes(bounds: Sequence[float], prepared: Prepared, reporter: Reporter) -> None:
    """Report how many training pairs have each length tag; warn of tags that none has."""
    tagger, counts = LengthTagger(bounds, prepared.tokenizer.source), Counter[LengthClass]()
    for corpus in prepared.train:
        for part in _parts(corpus):
            counts.update(tagger.count(part.sources.values, part.source_lengths, len(corpus.prefix) - 1))
    reporter.info("lengths of training pairs: " + ", ".join(f"{counts[each]:,} {each}" for each in LENGTH_CLASSES))
    if empty := [each for each in LENGTH_CLASSES if not counts[each]]:
        cause = f"no training pair is {' or '.join(empty)} with the bounds {', '.join(map(str, bounds))}"
        advice = "set other bounds, or add text with translations of other lengths"
        reporter.warn(f"data.length_bounds: {cause}, so that the model cannot learn this; {advice}")


def _report_upsampling(settings: CtcSettings, prepared: Prepared, reporter: Reporter) -> None:
    """Report how many pairs of each corpus a CTC model can neither learn nor score."""
    corpora = {f"data.train.{corpus.name}": corpus for corpus in prepared.train}
    for key, corpus in (corpora | {f"data.valid.{name}": each for name, each in prepared.valid.items()}).items():
        parts = [needed_upsampling(part.source_lengths, part.targets) for part in _parts(corpus)]
        needed = np.concatenate(parts)
        for finding in check_upsampling(key, needed, settings.upsampling):
            report = reporter.warn if finding.level == "warning" else reporter.info
            report(f"{finding.where}: {finding.message}; {finding.advice}")


def _plan(recipe: Recipe, job: PreprocessJob, dry_run: bool) -> str:
    verb = "merge" if job.shard is None else "prepare"
    verb = f"would {verb}" if dry_run else "merging" if job.shard is None else "preparing"
    shards = "" if job.merge and job.shard else f"shard {job.shard} of " if job.shard else "the shards of "
    corpora = ", ".join({**recipe.data.train, **recipe.data.valid})
    return f"{verb} {shards}{corpora} in {recipe.data.prepared}"
