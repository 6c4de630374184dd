"""Two ranks make the same updates as one: the gradient has the right scale, and dummy batches add nothing to it."""

import multiprocessing
import os
import socket
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import batch, tiny_trainer, update_of

from nmt_cli.devices import Rank
from nmt_cli.training.data_iterator import UpdateBatches
from nmt_cli.training.distributed import init_distributed
from nmt_cli.training.loop import train_steps
from nmt_cli.training.trainer import Trainer

UPDATES = [
    update_of(batch([[4, 5]]), batch([[6, 7, 8, 4], [5]]), batch([[8, 8, 4], [7, 6, 5]])),
    update_of(batch([[7], [4, 6]]), batch([[5, 8]])),
    update_of(batch([[6, 4, 4, 5, 7]])),
]
"""Updates of three, two and one batches: the second rank has a dummy batch in two of them."""
SETTINGS = {"clip_norm": 0.5, "optimizer": {"type": "sgd", "learning_rate": 0.5, "momentum": 0.9}}


def part_of(update: UpdateBatches, rank: int, world_size: int) -> UpdateBatches:
    """Return the batches of one rank, with the last batch as a dummy if it has fewer than other ranks."""
    batches = update.micro_batches
    indices = range(rank, -(-len(batches) // world_size) * world_size, world_size)
    chosen = [batches[index] if index < len(batches) else replace(batches[-1], is_dummy=True) for index in indices]
    return replace(update, micro_batches=chosen)


def make_updates(trainer: Trainer, rank: int = 0, world_size: int = 1) -> list[tuple[float, float]]:
    """Make all updates; return the loss of this rank and the gradient norm of each."""
    steps = train_steps(trainer, iter([part_of(update, rank, world_size) for update in UPDATES]), seed=1)
    return [(float(stats.loss), stats.gradient_norm) for _, stats in zip(UPDATES, steps, strict=False)]


def train_rank(rank: int, port: int, sharding: str, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE="2")
    with init_distributed(Rank(rank, 2, rank), torch.device("cpu"), timeout=30) as distributed:
        trainer = tiny_trainer(distributed=distributed, parallel={"type": sharding}, **SETTINGS)
        figures = make_updates(trainer, rank, 2)
        save_file(trainer.model_state() | {"figures": torch.tensor(figures)}, folder / f"{rank}.safetensors")


@pytest.mark.parametrize("sharding", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_two_ranks_make_the_same_updates_as_one(sharding: str, tmp_path: Path) -> None:
    alone = tiny_trainer(**SETTINGS)
    expected = torch.tensor(make_updates(alone))
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    context = multiprocessing.get_context("fork")  # importing torch twice would take most of the time
    ranks = [context.Process(target=train_rank, args=(rank, port, sharding, tmp_path)) for rank in (0, 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of this process are not forked
        for process in ranks:
            process.start()
    for process in ranks:
        process.join(60)
        assert process.exitcode == 0
    found = [load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1)]
    figures = [tensors.pop("figures") for tensors in found]
    torch.testing.assert_close(figures[0][:, 0] + figures[1][:, 0], expected[:, 0])
    torch.testing.assert_close(figures[0][:, 1], expected[:, 1])
    for name, parameter in alone.model.named_parameters():
        for tensors in found:
            torch.testing.assert_close(tensors[name], parameter.detach())
