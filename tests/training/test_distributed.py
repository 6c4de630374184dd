"""Several ranks make the same updates as one: the gradient has the right scale, and dummy batches add nothing to it."""

import math
import multiprocessing
import os
import socket
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from shards import written
from tiny import CPU, batch, tiny_model, tiny_trainer, update_of
from tiny_ctc import tiny_ctc
from torch import Tensor

from nmt_cli.data.batches import Batch
from nmt_cli.data.prepared import Prepared
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.devices import Rank
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.training import Glancing, Training
from nmt_cli.training.data_iterator import UpdateBatches, iterate_updates
from nmt_cli.training.distributed import Distributed, init_distributed
from nmt_cli.training.loop import train_steps
from nmt_cli.training.objectives.cross_entropy import CrossEntropyObjective
from nmt_cli.training.objectives.ctc import CtcObjective
from nmt_cli.training.objectives.objective import LossOutput
from nmt_cli.training.train_state import DataState
from nmt_cli.training.trainer import Trainer

UPDATES = [
    update_of(batch([[4, 5]]), batch([[6, 7, 8, 4], [5]]), batch([[8, 8, 4], [7, 6, 5]])),
    update_of(batch([[7], [4, 6]]), batch([[5, 8]])),
    update_of(batch([[6, 4, 4, 5, 7]])),
]
"""Updates of three, two and one batches: the second rank has a dummy batch in two of them."""
SETTINGS = {"clip_norm": 0.5, "optimizer": {"type": "sgd", "learning_rate": 0.5, "momentum": 0.9}}


def on_ranks(
    world_size: int, train: Callable[[Distributed], dict[str, Tensor]], folder: Path
) -> list[dict[str, Tensor]]:
    """Return what a function returns in each of several processes."""
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]

    def run(rank: int) -> None:
        torch.set_num_threads(1)
        os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(world_size))
        with init_distributed(Rank(rank, world_size, rank), CPU, timeout=30) as distributed:
            save_file(train(distributed), folder / f"{rank}.safetensors")

    context = multiprocessing.get_context("fork")  # importing torch twice would take most of the time
    ranks = [context.Process(target=run, args=(rank,)) for rank in range(world_size)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of this process are not forked
        for process in ranks:
            process.start()
    for process in ranks:
        process.join(60)
        assert process.exitcode == 0
    return [load_file(folder / f"{rank}.safetensors") for rank in range(world_size)]


def part_of(update: UpdateBatches, distributed: Distributed) -> UpdateBatches:
    """Return the batches of one rank, with the last batch as a dummy if it has fewer than other ranks."""
    batches, world_size = update.micro_batches, distributed.world_size
    indices = range(distributed.rank, -(-len(batches) // world_size) * world_size, world_size)
    chosen = [batches[index] if index < len(batches) else replace(batches[-1], is_dummy=True) for index in indices]
    return replace(update, micro_batches=chosen)


def make_updates(trainer: Trainer) -> list[tuple[float, float]]:
    """Make all updates; return the loss of this rank and the gradient norm of each."""
    steps = train_steps(trainer, iter([part_of(update, trainer.distributed) for update in UPDATES]), seed=1)
    return [(float(stats.loss), stats.gradient_norm) for _, stats in zip(UPDATES, steps, strict=False)]


def cross_entropy_trainer(distributed: Distributed, **settings: object) -> Trainer:
    return tiny_trainer(distributed=distributed, **SETTINGS, **settings)


def glancing_trainer(distributed: Distributed, **settings: object) -> Trainer:
    """With dropout: all random draws follow from the index of the batch."""
    objective = CtcObjective(tiny_ctc(dropout=0.2, cross_attention=True), 0.1, 0.0, Glancing())
    return Trainer(objective, 8, Training.model_validate({**SETTINGS, **settings}), CPU, distributed)


@pytest.mark.parametrize("sharding", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
@pytest.mark.parametrize("new_trainer", [cross_entropy_trainer, glancing_trainer])
def test_two_ranks_make_the_same_updates_as_one(
    sharding: str, new_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    alone = new_trainer(Distributed())
    expected = torch.tensor(make_updates(alone))

    def train(distributed: Distributed) -> dict[str, Tensor]:
        trainer = new_trainer(distributed, parallel={"type": sharding})
        figures = make_updates(trainer)
        return trainer.model_state() | {"figures": torch.tensor(figures)}

    found = on_ranks(2, train, tmp_path)
    figures = [tensors.pop("figures") for tensors in found]
    torch.testing.assert_close(figures[0][:, 0] + figures[1][:, 0], expected[:, 0])
    torch.testing.assert_close(figures[0][:, 1], expected[:, 1])
    for name, parameter in alone.model.named_parameters():
        for tensors in found:
            torch.testing.assert_close(tensors[name], parameter.detach())


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Pairs of very different lengths, of which two are longer than an update of 100 tokens."""
    rng, words = np.random.default_rng(3), ["ein", "zwei", "drei", "vier"]
    lengths = [*np.minimum(rng.geometric(0.1, 200), 18), 150, 120]
    lines = [" ".join(rng.choice(words, n)) for n in lengths]
    sources = [" ".join(line.split()[: 1 + len(line) % 7]) for line in lines]
    tokenizer = Tokenizer.train(TokenizerSettings(vocabulary_size=17, byte_fallback=False), lines, lines, seed=1)
    train = written(tmp_path_factory.mktemp("uneven") / "a", tokenizer, sources, lines)
    return Prepared(tokenizer, [train], {}, {"settings": {"data.max_length": 200}})


@pytest.fixture(scope="module")
def learned_alone(uneven: Prepared) -> dict[str, Tensor]:
    return learned(uneven, 1000, Distributed())


def learned(prepared: Prepared, batch_tokens: int, distributed: Distributed) -> dict[str, Tensor]:
    """Return losses of 50 updates, summed over ranks, and the first gradient; in fp64 and fp32."""
    found = dict[str, Tensor]()
    for dtype in (torch.float64, torch.float32):
        settings = Training.model_validate({"update_tokens": 100, "schedule": {"warmup": 9}, **SETTINGS})
        objective = CrossEntropyObjective(tiny_model(vocabulary_size=24), 0.1).to(dtype)
        trainer = Trainer(objective, 8, settings, CPU, distributed)
        step, gradients = trainer.step, list[list[Tensor]]()

        def keeping_gradients(rate: float) -> None:
            gradients.append([parameter.grad.flatten().clone() for parameter in trainer.model.parameters()])  # noqa: B023
            step(rate)  # noqa: B023

        trainer.step = keeping_gradients  # type: ignore[method-assign]
        updates = iterate_updates(prepared, {"a": 1.0}, settings, batch_tokens, 1, DataState(), distributed)
        losses = [stats.loss.double() / stats.tokens for stats in islice(train_steps(trainer, updates, 1), 50)]
        summed = distributed.all_reduce_sum(*map(float, losses))
        found |= {f"{dtype} losses": torch.tensor(summed), f"{dtype} gradient": torch.cat(gradients[0])}
    return found


@pytest.mark.parametrize(("world_size", "batch_tokens"), [(1, 37), (2, 53), (4, 37)])
def test_learning_does_not_depend_on_ranks_and_batch_tokens(
    uneven: Prepared, learned_alone: dict[str, Tensor], world_size: int, batch_tokens: int, tmp_path: Path
) -> None:
    found = (
        [learned(uneven, batch_tokens, Distributed())]
        if world_size == 1
        else on_ranks(world_size, lambda distributed: learned(uneven, batch_tokens, distributed), tmp_path)
    )
    losses = learned_alone["torch.float64 losses"]
    assert losses[-1] < 0.8 * losses[0], "the model learns"
    for each in found:
        for key, tolerance in (("64 losses", 1e-9), ("32 gradient", 1e-5), ("32 losses", 1e-4)):
            key = f"torch.float{key}"
            torch.testing.assert_close(each[key], learned_alone[key], rtol=0, atol=tolerance)


class RankDependent(CrossEntropyObjective):
    """Has a loss that is not finite for batches with token 8, and memory for few positions."""

    max_tokens = 10**9

    def forward(self, batch: Batch) -> LossOutput:
        loss = super().forward(batch)
        if batch.padded_tokens > self.max_tokens:
            raise torch.OutOfMemoryError("no more")
        return loss._replace(sum=loss.sum * (math.inf if (batch.labels == 8).any() else 1))


def test_gradient_that_is_not_finite_on_one_rank_is_skipped_by_all(tmp_path: Path) -> None:
    good, bad = update_of(batch([[4, 5]]), batch([[5, 6]])), update_of(batch([[4, 5]]), batch([[8]]))

    def train(distributed: Distributed) -> dict[str, Tensor]:
        trainer = tiny_trainer(distributed=distributed, objective=RankDependent, **SETTINGS)
        updates = [part_of(update, distributed) for update in (good, bad, good)]
        skipped = [stats.is_skipped for stats in islice(train_steps(trainer, iter(updates), seed=1), 3)]
        return trainer.model_state() | {"skipped": torch.tensor(skipped)}

    found = on_ranks(2, train, tmp_path)
    for tensors in found:
        assert tensors["skipped"].tolist() == [False, True, False]
        for name, tensor in tensors.items():
            assert torch.equal(tensor, found[0][name])


def test_rank_that_runs_out_of_memory_splits_its_batches_alone(tmp_path: Path) -> None:
    """Its last batch fits, as the ranks exchange gradients during that one."""
    update = update_of(batch([[4, 5, 6], [6, 7]]), batch([[5, 6, 7], [4], [5, 6]]), batch([[5]]), batch([[4, 4]]))

    def train(distributed: Distributed) -> dict[str, Tensor]:
        trainer = tiny_trainer(distributed=distributed, objective=RankDependent, **SETTINGS)
        trainer.objective.max_tokens = 5 if distributed.rank else 10**9
        next(train_steps(trainer, iter([part_of(update, distributed)]), seed=1))
        return trainer.model_state() | {"limit": torch.tensor(trainer.max_tokens_that_fit or 0)}

    found = on_ranks(2, train, tmp_path)
    alone = tiny_trainer(**SETTINGS)
    next(train_steps(alone, iter([update]), seed=1))
    assert [int(tensors["limit"]) > 0 for tensors in found] == [False, True]
    for name, parameter in alone.model.named_parameters():
        for tensors in found:
            torch.testing.assert_close(tensors[name], parameter.detach())


def test_seven_pairs_are_trained_on_once_per_epoch_by_any_number_of_ranks(uneven: Prepared, tmp_path: Path) -> None:
    lines = ["ein zwei", "drei", "ein", "zwei drei vier", "vier", "drei ein", "ein ein ein"]
    seven = replace(uneven, train=[written(tmp_path / "a", uneven.tokenizer, lines, lines)])
    tokens = int((seven.train[0].read_all().target_lengths + 1).sum())
    settings = Training(update_tokens=tokens)
    for world_size in (2, 3, 8):
        ranks = [Distributed(Rank(rank, world_size)) for rank in range(world_size)]
        made = [
            list(islice(iterate_updates(seven, {"a": 1.0}, settings, 99, 1, DataState(), rank), 10)) for rank in ranks
        ]
        trained = Counter[int]()
        for together in zip(*made, strict=True):
            assert len({len(update.micro_batches) for update in together}) == 1, "so that no rank waits for others"
            batches = [each for update in together for each in update.micro_batches if not each.is_dummy]
            trained.update(int(pair) for each in batches for pair in each.batch.pair_ids)
        assert max(trained.values()) - min(trained.values()) <= 1
        assert len(trained) == 7
