"""nmt check: what will go wrong with a recipe and its text, before anything is learned."""

from collections.abc import Iterator
from pathlib import Path

import torch

from nmt_cli import files
from nmt_cli.commands.loading import vocabulary_spec
from nmt_cli.commands.pretrained_tokenizer import pretrained_tokenizer
from nmt_cli.commands.results import stdout
from nmt_cli.console import info
from nmt_cli.data.checking.estimates import Estimate, estimate
from nmt_cli.data.checking.finding import Finding
from nmt_cli.data.checking.lengths import Histogram, histogram, too_long
from nmt_cli.data.checking.proportions import Size, learning_rate, schedule, vocabulary
from nmt_cli.data.checking.sampling import Sample, some
from nmt_cli.data.checking.subwords import Found, coverage, find_tokenizer
from nmt_cli.data.checking.texts import read_texts
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.devices import describe, has_fast_bf16, pick_device, total_memory
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.models import build
from nmt_cli.models.contract import VocabularySpec
from nmt_cli.models.kernels import matmul_speed
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.data.checked import Checked

_LINES = 5000
"""Of each corpus that are cut into tokens to be measured."""
_CHARACTERS = 4.0
"""Of a token, where there is no tokenizer to ask."""


def check(recipe: Recipe, path: Path, as_json: bool = False) -> None:
    """Say on stdout what was found; DataError or RecipeError if something cannot work."""
    checked = _checked(recipe, path)
    with stdout() as stream:
        stream.write(files.json_bytes(checked.as_json()) if as_json else checked.as_text().encode())
    errors = [finding for finding in checked.findings if finding.level == "error"]
    if errors:
        kind = RecipeError if all(finding.is_of_recipe for finding in errors) else DataError
        raise kind(f"{path}: will not work as it is: {errors[0].where}: {errors[0].what}")


def _checked(recipe: Recipe, path: Path) -> Checked:
    texts = read_texts(recipe.data)
    corpora = [*texts.train, *texts.held_out]
    pretrained = pretrained_tokenizer(recipe)
    if pretrained is not None:
        found = Found(pretrained, f"the tokenizer of {recipe.tokenizer.path}", [])
    else:
        info("looking at how subwords fit")
        found = find_tokenizer(recipe, texts.train)
    sides = [histogram for corpus in corpora for histogram in _histograms(corpus, found.tokenizer)]
    size = _size(texts.train, sides)
    is_byte = recipe.tokenizer.algorithm == "byte"  # which has no size in the recipe
    findings = [*texts.findings, *found.findings]
    findings += [finding for name in texts.train for finding in too_long(_of(name, sides), recipe.data.max_length)]
    if found.tokenizer is not None:
        findings += [finding for corpus in texts.held_out for finding in coverage(corpus, found.tokenizer)]
    findings += [*vocabulary(recipe, size), *schedule(recipe, size), *learning_rate(recipe)]
    needs = _estimate(recipe, found.tokenizer if pretrained or is_byte else None, size) if size.pairs else None
    findings += _machine(recipe, needs)
    shown = [side for side in sides if not side.corpus.startswith("data.test.")]
    return Checked(str(path), corpora, shown, found.origin, needs, describe(pick_device()), findings)


def _histograms(corpus: Sample, tokenizer: Tokenizer | None) -> Iterator[Histogram]:
    for side, lines in corpus.sides.items():
        chosen = list(some(lines, _LINES))
        if tokenizer is None:
            yield histogram(corpus.name, side, "characters", [len(line) for line in chosen])
        else:
            rows = tokenizer.encode_source(chosen) if side == "source" else tokenizer.encode_target(chosen)
            yield histogram(corpus.name, side, "tokens", [len(row) for row in rows])


def _of(corpus: Sample, sides: list[Histogram]) -> list[Histogram]:
    return [side for side in sides if side.corpus == corpus.name]


def _size(train: list[Sample], sides: list[Histogram]) -> Size:
    tokens = {"source": 0.0, "target": 0.0}
    for corpus in train:
        for side in _of(corpus, sides):
            mean = side.mean if side.unit == "tokens" else side.mean / _CHARACTERS
            tokens[side.side] += corpus.read * (mean + 1)
    return Size(sum(corpus.read for corpus in train), tokens["source"], tokens["target"])


def _estimate(recipe: Recipe, tokenizer: Tokenizer | None, size: Size) -> Estimate:
    subwords, device = recipe.tokenizer.vocabulary_size, pick_device()
    learned = VocabularySpec(subwords, subwords)
    known = vocabulary_spec(tokenizer) if tokenizer else learned
    with torch.device("meta"):
        model = build(recipe.model, known)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    is_fast = recipe.training.precision == "bf16" and has_fast_bf16(device)
    precision = torch.bfloat16 if is_fast else torch.float32
    speed = max(matmul_speed(device, precision) for _ in range(3))  # other programs may be at work
    return estimate(recipe.training, parameters, model.activations_per_token, size.target_tokens, speed)


def _machine(recipe: Recipe, needs: Estimate | None) -> Iterator[Finding]:
    """Finds what this machine cannot do; another one may train."""
    device = pick_device()
    if recipe.training.precision == "bf16" and not has_fast_bf16(device):
        what = "this machine has no instructions for bf16, and is many times faster in fp32"
        yield Finding("warning", "machine", "training.precision", what, "use fp32 here, or train on another machine")
    if needs is not None and needs.state_bytes > total_memory(device):
        what = "the weights, with gradients and optimizer, do not fit into the memory of this machine"
        yield Finding("warning", "machine", "model", what, "use a smaller preset, or training.parallel.type: fsdp")
    elif needs is not None and needs.bytes > total_memory(device) and recipe.training.batch_tokens != "auto":
        what = "a batch will most likely not fit into the memory of this machine, and be cut"
        yield Finding("warning", "machine", "training.batch_tokens", what, "set it to auto, or lower it")
