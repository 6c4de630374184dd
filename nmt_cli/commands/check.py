"""nmt check: problems of a recipe and its text, found before training."""

from collections.abc import Iterator
from pathlib import Path

import torch

from nmt_cli import console
from nmt_cli.commands.loading import vocabulary_spec
from nmt_cli.commands.pretrained_tokenizer import pretrained_tokenizer
from nmt_cli.console import Reporter
from nmt_cli.data.checking import DataFinding
from nmt_cli.data.checking.hyperparameters import (
    TrainingEstimate,
    TrainingSize,
    check_learning_rate,
    check_schedule,
    check_vocabulary,
    estimate_training,
)
from nmt_cli.data.checking.pairs import LengthHistogram, check_lengths
from nmt_cli.data.checking.sampling import CorpusSample, evenly_spaced
from nmt_cli.data.checking.subwords import CheckTokenizer, check_coverage, find_tokenizer
from nmt_cli.data.checking.texts import read_texts
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.devices import describe, has_fast_bf16, pick_device, total_memory
from nmt_cli.models import build
from nmt_cli.models.contract import VocabularySpec
from nmt_cli.models.kernels import matmul_speed
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.data_report import CheckReport

_MAX_LINES = 5000
"""Lines of each side that are encoded to measure their lengths."""
_CHARACTERS_PER_TOKEN = 4.0
"""Assumed without a tokenizer."""


def check(recipe: Recipe, path: Path, reporter: Reporter = console) -> CheckReport:
    """Check the text and the settings of a recipe. Nothing is changed."""
    texts = read_texts(recipe.data)
    corpora = [*texts.train, *texts.held_out]
    pretrained = pretrained_tokenizer(recipe)
    if pretrained is not None:
        chosen = CheckTokenizer(pretrained, f"the tokenizer of {recipe.tokenizer.path}", [])
    else:
        reporter.info("checking the vocabulary")
        chosen = find_tokenizer(recipe, texts.train)
    histograms = [histogram for corpus in corpora for histogram in _histograms(corpus, chosen.tokenizer)]
    size = _training_size(texts.train, histograms)
    findings = [*texts.findings, *chosen.findings]
    for corpus in texts.train:
        findings += check_lengths(_of_corpus(corpus, histograms), recipe.data.max_length)
    if chosen.tokenizer is not None:
        findings += [finding for corpus in texts.held_out for finding in check_coverage(corpus, chosen.tokenizer)]
    findings += [*check_vocabulary(recipe, size), *check_schedule(recipe, size), *check_learning_rate(recipe)]
    has_final_size = pretrained is not None or recipe.tokenizer.algorithm == "byte"
    estimate = _estimate(recipe, chosen.tokenizer if has_final_size else None, size) if size.num_pairs else None
    findings += _check_machine(recipe, estimate)
    shown = [histogram for histogram in histograms if not histogram.corpus.startswith("data.test.")]
    return CheckReport(str(path), corpora, shown, chosen.origin, estimate, describe(pick_device()), findings)


def _histograms(corpus: CorpusSample, tokenizer: Tokenizer | None) -> Iterator[LengthHistogram]:
    for side, lines in corpus.sides.items():
        chosen = list(evenly_spaced(lines, _MAX_LINES))
        if tokenizer is None:
            yield LengthHistogram.of(corpus.name, side, "characters", [len(line) for line in chosen])
        else:
            rows = tokenizer.encode_source(chosen) if side == "source" else tokenizer.encode_target(chosen)
            yield LengthHistogram.of(corpus.name, side, "tokens", [len(row) for row in rows])


def _of_corpus(corpus: CorpusSample, histograms: list[LengthHistogram]) -> list[LengthHistogram]:
    return [histogram for histogram in histograms if histogram.corpus == corpus.name]


def _training_size(train: list[CorpusSample], histograms: list[LengthHistogram]) -> TrainingSize:
    tokens = {"source": 0.0, "target": 0.0}
    for corpus in train:
        for histogram in _of_corpus(corpus, histograms):
            mean = histogram.mean / (1 if histogram.unit == "tokens" else _CHARACTERS_PER_TOKEN)
            tokens[histogram.side] += corpus.num_pairs * (mean + 1)
    return TrainingSize(sum(corpus.num_pairs for corpus in train), tokens["source"], tokens["target"])


def _estimate(recipe: Recipe, tokenizer: Tokenizer | None, size: TrainingSize) -> TrainingEstimate:
    subwords, device = recipe.tokenizer.vocabulary_size, pick_device()
    spec = vocabulary_spec(tokenizer) if tokenizer else VocabularySpec(subwords, subwords)
    with torch.device("meta"):
        model = build(recipe.model, spec)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    is_fast = recipe.training.precision == "bf16" and has_fast_bf16(device)
    precision = torch.bfloat16 if is_fast else torch.float32
    speed = max(matmul_speed(device, precision) for _ in range(3))  # other programs may be running
    return estimate_training(recipe.training, parameters, model.activations_per_token, size.target_tokens, speed)


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
