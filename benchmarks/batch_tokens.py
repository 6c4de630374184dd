"""Measure training speed by the size of micro-batches on a CPU, to choose what `batch_tokens: auto` does there.

    OMP_NUM_THREADS=2 python benchmarks/batch_tokens.py --presets tiny small base --lengths 10 30 --seconds 2

For each preset and sentence length, batches of several sizes (padded target tokens, in random tokens, with as many
source tokens) take turns. It prints the target tokens per second of forward and backward pass, relative to the fastest
size. The work of the optimizer does not depend on the size and is left out.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from nmt_cli.data.arrays import RaggedArray
from nmt_cli.data.batches import Batch, collate
from nmt_cli.data.token_corpus import TokenPairs
from nmt_cli.models import build
from nmt_cli.models.contract import VocabularySpec
from nmt_cli.text.special_tokens import SpecialTokens
from nmt_cli.training.objectives import build_objective
from nmt_cli.training.objectives.objective import Objective
from random_model import recipe_with

SIZES = (256, 512, 1024, 2048, 4096, 8192)
VOCABULARY = 8000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["tiny", "small", "base"])
    parser.add_argument("--lengths", nargs="+", type=int, default=[10, 30], help="tokens of a sentence, eos included")
    parser.add_argument("--seconds", type=float, default=2, help="time for each size, in each of three rounds")
    parser.add_argument("--architecture", default="transformer")
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY)
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads; speed relative to the fastest size, and its target tokens per second")
    print("preset", "length", *SIZES, "tokens/s", sep="\t")
    for preset in options.presets:
        objective = objective_of(options.architecture, preset, options.vocabulary)
        for length in options.lengths:
            batches = [random_batch(max(1, size // length), length, options.vocabulary) for size in SIZES]
            best = [0.0] * len(batches)
            for _ in range(3):
                best = [max(b, speed(objective, each, options.seconds)) for b, each in zip(best, batches, strict=True)]
            print(preset, length, *(f"{each / max(best):.2f}" for each in best), f"{max(best):,.0f}", sep="\t")


def objective_of(architecture: str, preset: str, vocabulary: int) -> Objective:
    """Return the training objective of a model with random weights."""
    recipe = recipe_with(Path("run"), {"model": {"architecture": architecture, "preset": preset}})
    return build_objective(recipe.training, build(recipe.model, VocabularySpec(vocabulary, vocabulary)), 0).train()


def random_batch(rows: int, length: int, vocabulary: int) -> Batch:
    """Return a batch of pairs whose source and target both have this length, eos included."""
    offsets = np.arange(rows + 1) * (length - 1)
    source, target = (np.random.default_rng(seed).integers(4, vocabulary, offsets[-1]) for seed in (1, 2))
    pairs = TokenPairs(RaggedArray(offsets, source), RaggedArray(offsets, target), target_size=vocabulary)
    return collate(pairs, np.arange(rows), SpecialTokens(pad=0, unk=1, bos=2, eos=3, decoder_start=2))


def speed(objective: Objective, batch: Batch, seconds: float) -> float:
    """Return target tokens per second."""
    started, tokens = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        objective(batch)[0].backward()
        tokens += len(batch.labels)
        for parameter in objective.parameters():
            parameter.grad = None
    return tokens / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
