"""Compare training with planned updates to training with updates of one batch each, in tokens per processor second.

    OMP_NUM_THREADS=1 python benchmarks/update_planning.py recipes/number_words_transformer.yaml --rounds 40

Planned updates have `update_tokens` target tokens for any number of ranks and any `batch_tokens`, and therefore may
consist of several small batches (nmt_cli/training/data_iterator.py). A batch of up to `batch_tokens` tokens that is an
update of its own is the fastest way to train, but its size varies. Both ways train a model of the recipe in one
process, in turns of a few updates, so that noise affects both. The recipe's data must have been prepared.
"""

import argparse
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from nmt_cli.commands.adapted_recipe import adapted_recipe
from nmt_cli.commands.loading import vocabulary_spec
from nmt_cli.data.batches import batch_by_size, collate
from nmt_cli.data.blocks import BlockReader
from nmt_cli.data.prepared import Prepared, open_prepared
from nmt_cli.models import build
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe
from nmt_cli.training.batch_size import default_batch_tokens
from nmt_cli.training.data_iterator import MicroBatch, UpdateBatches, iterate_updates
from nmt_cli.training.distributed import Distributed
from nmt_cli.training.loop import train_steps
from nmt_cli.training.objectives import build_objective
from nmt_cli.training.train_state import DataState, UpdateStats
from nmt_cli.training.trainer import Trainer

_UPDATES_PER_TURN = 12
_CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE of the recipe; repeatable")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    recipe = load_recipe(options.recipe, options.set)
    prepared = open_prepared(recipe)
    recipe = adapted_recipe(recipe, prepared)
    given, update_tokens = recipe.training.batch_tokens, recipe.training.update_tokens
    batch_tokens = default_batch_tokens(update_tokens, _CPU) if given == "auto" else given
    weights = {name: corpus.weight for name, corpus in recipe.data.train.items()}
    planned = iterate_updates(prepared, weights, recipe.training, batch_tokens, recipe.seed, DataState(), Distributed())
    single = updates_of_one_batch(recipe, prepared, min(batch_tokens, update_tokens))
    steps = {name: steps_of(recipe, prepared, each) for name, each in (("planned", planned), ("single", single))}
    rates: dict[str, list[float]] = {name: [rate(each)] for name, each in steps.items()}
    for turn in range(options.rounds):
        for name in list(steps)[:: 1 if turn % 2 else -1]:
            rates[name].append(rate(steps[name]))
    ratios = [one / other for one, other in zip(rates["planned"][1:], rates["single"][1:], strict=True)]
    draws = random.Random(1)
    medians = sorted(statistics.median(draws.choices(ratios, k=len(ratios))) for _ in range(2000))
    for name, each in rates.items():
        print(f"{name}: {statistics.median(each[1:]):,.0f} target tokens per processor second")
    print(f"planned / single: {statistics.median(ratios):.3f} [{medians[50]:.3f}, {medians[-51]:.3f}]")


def updates_of_one_batch(recipe: Recipe, prepared: Prepared, batch_tokens: int) -> Iterator[UpdateBatches]:
    """Yield, without end, batches of one source length in random order, each as an update."""
    weights = {name: corpus.weight for name, corpus in recipe.data.train.items()}
    reader, epoch = BlockReader(prepared.train, weights, recipe.training.mixing, recipe.seed), 0
    special_tokens, layout = prepared.tokenizer.special_tokens, prepared.layout
    while True:
        block = reader.read(epoch, 0)
        assert block is not None, "a block has a million pairs"
        for rows in batch_by_size(block.pairs, batch_tokens, [recipe.seed, epoch, 0]):
            tokens = int(block.pairs.target_lengths[rows].sum()) + len(rows)
            batch = MicroBatch(collate(block.pairs, rows, special_tokens, layout), 0)
            yield UpdateBatches([batch], tokens, {}, DataState())
        epoch += 1


def steps_of(recipe: Recipe, prepared: Prepared, updates: Iterator[UpdateBatches]) -> Iterator[UpdateStats]:
    """Train a new model, always the same."""
    torch.manual_seed(recipe.seed)
    model = build(recipe.model, vocabulary_spec(prepared.tokenizer))
    objective = build_objective(recipe.training, model, prepared.tokenizer.special_tokens.unk)
    return train_steps(Trainer(objective, recipe.model.width, recipe.training, _CPU, Distributed()), updates, 1)


def rate(steps: Iterator[UpdateStats]) -> float:
    """Return target tokens per second of processor time over some updates."""
    started = time.process_time()
    tokens = sum(next(steps).tokens for _ in range(_UPDATES_PER_TURN))
    return tokens / (time.process_time() - started)


if __name__ == "__main__":
    main()
