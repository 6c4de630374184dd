"""nmt shortlist: give a model the target subwords that its translations of each source subword may contain."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmt_cli import console, files
from nmt_cli.commands.evaluation_inputs import read_parallel
from nmt_cli.commands.loading import capabilities_of, config_of_model, require_restrictable
from nmt_cli.commands.model_config import named_model
from nmt_cli.console import Reporter
from nmt_cli.data.arrays import RaggedArray, evenly_spaced, evenly_spaced_indices
from nmt_cli.data.prepared import open_prepared
from nmt_cli.data.shortlist import Shortlist
from nmt_cli.data.shortlist.lexicon import make_shortlist
from nmt_cli.data.token_corpus import TokenCorpus, TokenPairs, concatenate_pairs
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import DataError, ModelError, RecipeError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.runs.directory import SHORTLIST, TOKENIZER, ModelFiles
from nmt_cli.text.lines import utf8_name

_MAX_TOKEN_PAIRS = 100_000_000
"""Pairs of tokens in one sentence that are counted; of a larger corpus, a sample."""
_SPAN = 1000
"""Adjacent sentence pairs of a sample."""
_NUM_CHECKED = 1000
"""Sentence pairs with which the shortlist is described."""

Rows = tuple[RaggedArray, RaggedArray]


@dataclass(frozen=True)
class ShortlistOptions:
    """What a shortlist contains."""

    best: int = 50
    """Maximum translations of each source subword."""
    min_probability: float = 0.001
    frequent: int = 100
    """Most frequent target subwords, which any translation may contain."""


@dataclass(frozen=True)
class ShortlistResult:
    """A shortlist, described by sentence pairs that it was made from."""

    path: str
    sentences: int
    """Sentence pairs that it was made from."""
    mean_size: float
    """Target subwords for one sentence."""
    coverage: float
    """Fraction of the subwords of references that the shortlist of their sentence contains."""


def write_shortlist(
    model: Path,
    corpus: Sequence[Path] = (),
    options: ShortlistOptions = ShortlistOptions(),
    reporter: Reporter = console,
) -> ShortlistResult:
    """Make the shortlist of a model and add it to the model's folder, in place of an earlier one.

    Args:
        model: A run, recipe or model folder.
        corpus: Source and target file; none: the prepared training data of the model's run.

    Raises:
        ModelError: The model is a checkpoint, or cannot be restricted to a shortlist.
        RecipeError: The model belongs to no run, so that a corpus must be given.
        DataError: The data is missing or damaged, or has changed.
    """
    found = named_model(model).files
    if not found.standalone:
        raise ModelError(f"{found.folder}: is a checkpoint; shortlists are for the model of a finished run")
    config = config_of_model(found)
    require_restrictable(capabilities_of(config))
    tokenizer = Tokenizer.load(found.folder / TOKENIZER)
    sources, targets = _read_corpus(corpus, tokenizer) if corpus else _training_data(found, tokenizer)
    if not len(sources.values) or not len(targets.values):
        raise DataError("the corpus has no subwords on one side, so it cannot give translations")
    reporter.info(f"counting the translations of subwords in {len(sources):,} sentence pairs")
    shortlist = make_shortlist(sources, targets, tokenizer, options.best, options.min_probability, options.frequent)
    path = found.folder / SHORTLIST
    _publish(shortlist, path, tokenizer)
    return ShortlistResult(utf8_name(str(path)), len(sources), *_describe(shortlist, sources, targets, tokenizer))


def has_shortlist(model: Path) -> bool:
    """Return whether a run, recipe or model folder has a shortlist."""
    return (named_model(model).files.folder / SHORTLIST).exists()


def _publish(shortlist: Shortlist, path: Path, tokenizer: Tokenizer) -> None:
    """Write a shortlist into its model folder. At any moment, the folder's manifest fits the files that it lists."""
    manifest = files.read_json(path.parent / files.MANIFEST, ModelError)
    listed = manifest["files"]
    if listed.pop(SHORTLIST, None) is not None:
        files.write_json(path.parent / files.MANIFEST, manifest)
    shortlist.save(path, tokenizer)
    listed[SHORTLIST] = {"bytes": path.stat().st_size, "sha256": files.sha256(path)}
    manifest["files"] = dict(sorted(listed.items()))
    files.write_json(path.parent / files.MANIFEST, manifest)


def _read_corpus(paths: Sequence[Path], tokenizer: Tokenizer) -> Rows:
    """Return the text of two files in subwords, or a sample of it."""
    texts = read_parallel(paths)
    sources, targets = _encoded(texts, _NUM_CHECKED, tokenizer)
    mean = float((sources.lengths * targets.lengths).mean())
    return _encoded(texts, max(1, int(_MAX_TOKEN_PAIRS / max(1.0, mean))), tokenizer)


def _encoded(texts: Sequence[Sequence[str]], count: int, tokenizer: Tokenizer) -> Rows:
    """Return at most `count` pairs of lines, evenly spaced, in subwords."""
    sides, rows = (tokenizer.source, tokenizer.target), list[RaggedArray]()
    for text, vocabulary in zip(texts, sides, strict=True):
        ids, lengths = vocabulary.encode_batch([tokenizer.normalize(line) for line in evenly_spaced(text, count)])
        rows.append(RaggedArray.of_lengths(lengths, ids.astype(np.int64)))
    return rows[0], rows[1]


def _training_data(found: ModelFiles, tokenizer: Tokenizer) -> Rows:
    """Return the training data of the model's run, or a sample of it."""
    if found.run is None:
        raise RecipeError(f"{found.folder}: is outside its run; give training data by --corpus SOURCE TARGET")
    prepared = open_prepared(load_recipe(found.run.resolved))
    if prepared.tokenizer.fingerprint != tokenizer.fingerprint:
        raise DataError(f"{found.run.resolved}: its prepared data has another vocabulary than {found.folder}")
    count = sum(map(_token_pairs, prepared.train))
    fraction = min(1.0, _MAX_TOKEN_PAIRS / max(1, count))
    pairs = concatenate_pairs([_sample(corpus, fraction) for corpus in prepared.train], [0] * len(prepared.train))
    return pairs.sources, pairs.targets


def _token_pairs(corpus: TokenCorpus) -> int:
    return corpus.source_tokens * corpus.target_tokens // max(1, len(corpus))


def _sample(corpus: TokenCorpus, fraction: float) -> TokenPairs:
    """Return a part of a corpus, in evenly spaced spans."""
    count = -(-len(corpus) // _SPAN)
    kept = np.array(evenly_spaced_indices(count, max(1, round(count * fraction))), np.int64) * _SPAN
    return corpus.read(np.stack([kept, np.minimum(kept + _SPAN, len(corpus))], axis=1))


def _describe(
    shortlist: Shortlist, sources: RaggedArray, targets: RaggedArray, tokenizer: Tokenizer
) -> tuple[float, float]:
    """Return the mean size of the shortlists of sentences, and the fraction of target tokens that they contain."""
    rows = evenly_spaced_indices(len(sources), _NUM_CHECKED)
    special = tokenizer.special_tokens.ids
    sizes = contained = total = 0
    for row in rows:
        tokens = shortlist.target_tokens([sources[row].tolist()], special)
        sizes += len(tokens)
        contained += int(np.isin(targets[row], tokens).sum())
        total += len(targets[row])
    return sizes / len(rows), contained / max(1, total)
