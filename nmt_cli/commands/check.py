"""nmt check: problems of a recipe and its text, found before training."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmt_cli import console
from nmt_cli.commands.adapted_recipe import count_parameters_of, speed_on_device
from nmt_cli.commands.loading import model_without_weights, vocabulary_spec
from nmt_cli.commands.pretrained_tokenizer import pretrained_tokenizer
from nmt_cli.commands.starting import with_start
from nmt_cli.console import Reporter
from nmt_cli.data.arrays import Integers, RaggedArray, evenly_spaced
from nmt_cli.data.checking import DataFinding
from nmt_cli.data.checking.hyperparameters import (
    TrainingEstimate,
    check_learning_rate,
    check_schedule,
    check_vocabulary,
    estimate_training,
)
from nmt_cli.data.checking.pairs import (
    LengthHistogram,
    LengthUnit,
    check_lengths,
    check_upsampling,
    needed_upsampling,
)
from nmt_cli.data.checking.sampling import CorpusSample
from nmt_cli.data.checking.subwords import CheckTokenizer, check_coverage, find_tokenizer
from nmt_cli.data.checking.texts import read_texts
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.devices import describe, has_fast_bf16, pick_device, total_memory
from nmt_cli.evaluation.reachable_scores import check_normalization
from nmt_cli.models.contract import VocabularySpec
from nmt_cli.recipe.adapting import TRAINING_KEYS, with_possible_tying
from nmt_cli.recipe.adapting.training_defaults import TrainingSize, adapt_to_training, efficiency
from nmt_cli.recipe.model import CtcSettings
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.data_report import CheckReport
from nmt_cli.text.artefacts import TOKENISED
from nmt_cli.training.batch_size import default_batch_tokens

_MAX_LINES = 5000
"""Lines of each side that are encoded to measure their lengths."""
_CHARACTERS_PER_TOKEN = 4.0
"""Assumed without a tokenizer."""


def check(recipe: Recipe, path: Path, reporter: Reporter = console, *, identify_languages: bool = False) -> CheckReport:
    """Check the text and the settings of a recipe. Nothing is changed.

    Args:
        identify_languages: Also identify the language of each line, with an optional package.
    """
    recipe = with_start(recipe)
    texts = read_texts(recipe.data, identify_languages=identify_languages)
    corpora = [*texts.train, *texts.held_out]
    pretrained = pretrained_tokenizer(recipe)
    if pretrained is None:
        reporter.info("checking the vocabulary")
    chosen = find_tokenizer(recipe, texts.train, pretrained)
    lengths = [_measure_lengths(corpus, chosen.tokenizer) for corpus in corpora]
    histograms = [histogram for each in lengths for histogram in each.sides]
    size = _training_size(len(texts.train), lengths)
    is_tokenised = recipe.evaluation.bleu_tokenizer == "none"  # such as code, which is scored as it is
    findings = [each for each in texts.findings if not (is_tokenised and each.advice == TOKENISED.remedy)]
    findings += chosen.findings
    normalization = pretrained.normalization if pretrained else recipe.tokenizer.normalization
    is_monolingual = recipe.data.is_monolingual
    for corpus in texts.held_out if not is_monolingual else ():
        findings += check_normalization(corpus, normalization, recipe.evaluation)
    for each in lengths[: len(texts.train)] if chosen.tokenizer is not None and not is_monolingual else ():
        findings += check_lengths(each.corpus.name, each.sides, each.longest, chosen.max_length)
        if isinstance(recipe.model, CtcSettings):
            findings += check_upsampling(each.corpus.name, each.needed_upsampling, recipe.model.upsampling)
    if chosen.tokenizer is not None:
        for corpus in texts.held_out:
            findings += check_coverage(corpus, chosen.tokenizer, chosen.is_of_sample, recipe.model.output.copies)
    if recipe.gives("tokenizer.vocabulary_size") and not chosen.findings:
        findings += check_vocabulary(recipe, size, chosen.vocabulary_size)
    has_final_size = pretrained is not None or recipe.tokenizer.algorithm == "byte"
    plan = _plan(recipe, chosen, has_final_size, size)
    of_schedule = check_schedule(plan.recipe, size, plan.tokens_per_second)
    findings += [each for each in of_schedule if each.where not in TRAINING_KEYS or recipe.gives(each.where)]
    findings += check_learning_rate(recipe)
    findings += _check_machine(recipe, plan.estimate if size.num_pairs else None)
    shown = [
        histogram
        for histogram in histograms
        if not histogram.corpus.startswith("data.test.") and not (is_monolingual and histogram.side == "source")
    ]
    estimate = plan.estimate if size.num_pairs else None
    device, unit = describe(pick_device()), recipe.data.unit
    return CheckReport(str(path), corpora, shown, chosen.origin, estimate, device, findings, unit)


@dataclass(frozen=True)
class _CorpusLengths:
    """Lengths of some pairs of a corpus."""

    corpus: CorpusSample
    sides: list[LengthHistogram]
    longest: list[int]
    """Length of the longer side of each pair."""
    needed_upsampling: Integers
    """Of each pair, if lengths are in tokens."""


def _measure_lengths(corpus: CorpusSample, tokenizer: Tokenizer | None) -> _CorpusLengths:
    """Measure lengths in tokens; in characters without a tokenizer."""
    unit: LengthUnit = "characters" if tokenizer is None else "tokens"
    chosen = {side: evenly_spaced(lines, _MAX_LINES) for side, lines in corpus.sides.items()}
    needed: Integers = np.empty(0, np.int64)
    if tokenizer is None:
        rows = [list(map(len, lines)) for lines in chosen.values()]
    else:
        sources, targets = tokenizer.encode_source(chosen["source"]), tokenizer.encode_target(chosen["target"])
        rows = [list(map(len, sources)), list(map(len, targets))]
        values = np.fromiter(itertools.chain.from_iterable(targets), np.int64)
        needed = needed_upsampling(np.array(rows[0]), RaggedArray.of_lengths(np.array(rows[1]), values))
    sides = [LengthHistogram.of(corpus.name, side, unit, row) for side, row in zip(corpus.sides, rows, strict=True)]
    return _CorpusLengths(corpus, sides, list(map(max, *rows)), needed)


def _training_size(num_train: int, lengths: Sequence[_CorpusLengths]) -> TrainingSize:
    """Return the size of the first corpora, which are those of training; others are validation or test sets."""

    def tokens(each: _CorpusLengths, side: int) -> float:
        histogram = each.sides[side]
        return each.corpus.num_pairs * (
            histogram.mean / (1 if histogram.unit == "tokens" else _CHARACTERS_PER_TOKEN) + 1
        )

    train = lengths[:num_train]
    return TrainingSize(
        sum(each.corpus.num_pairs for each in train),
        sum(tokens(each, 0) for each in train),
        sum(tokens(each, 1) for each in train),
        sum(tokens(each, 1) for each in lengths if each.corpus.name.startswith("data.valid.")),
    )


@dataclass(frozen=True)
class _Plan:
    """The training that a recipe stands for."""

    recipe: Recipe
    """With adapted defaults."""
    tokens_per_second: float
    """See training_speed."""
    estimate: TrainingEstimate


def _plan(recipe: Recipe, chosen: CheckTokenizer, has_final_size: bool, size: TrainingSize) -> _Plan:
    tokenizer, device = chosen.tokenizer, pick_device()
    is_given = recipe.gives("tokenizer.vocabulary_size")
    subwords = recipe.tokenizer.vocabulary_size if is_given else chosen.vocabulary_size
    spec = vocabulary_spec(tokenizer) if tokenizer and has_final_size else VocabularySpec(subwords, subwords)
    recipe = with_possible_tying(
        recipe, recipe.tokenizer.joint if recipe.tokenizer.path is None or tokenizer is None else tokenizer.joint
    )
    speed_of = speed_on_device(spec)
    recipe = adapt_to_training(recipe, size, speed_of)
    speed = speed_of(recipe)
    model, training = model_without_weights(recipe.model, spec), recipe.training
    batch_tokens = training.batch_tokens
    if batch_tokens == "auto":
        batch_tokens = default_batch_tokens(training.update_tokens, device)
    seconds = size.target_tokens / (speed * efficiency(training.update_tokens))
    parameters = count_parameters_of(model)
    return _Plan(
        recipe, speed, estimate_training(training, parameters, model.activations_per_token, batch_tokens, seconds)
    )


def _check_machine(recipe: Recipe, estimate: TrainingEstimate | None) -> Iterator[DataFinding]:
    """Report what this machine cannot do. Training may run on another one."""
    device = pick_device()
    if recipe.training.precision == "bf16" and not has_fast_bf16(device):
        message = "this machine has no bf16 instructions; fp32 is many times faster on it"
        advice = "use fp32 here, or train on another machine"
        yield DataFinding("warning", "machine", "training.precision", message, advice)
    if estimate is not None and estimate.state_bytes > total_memory(device):
        message = "the parameters, with gradients and optimizer, do not fit into the memory of this machine"
        advice = "use a smaller preset, or training.parallel.type: fsdp"
        yield DataFinding("warning", "machine", "model", message, advice)
    elif estimate is not None and estimate.bytes > total_memory(device) and recipe.training.batch_tokens != "auto":
        message = "a batch will probably not fit into the memory of this machine, and be split"
        yield DataFinding("warning", "machine", "training.batch_tokens", message, "set it to auto, or lower it")
