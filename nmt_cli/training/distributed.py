"""Training with many processes: agreement between ranks, DDP, and FSDP2."""

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

if TYPE_CHECKING:  # importing these takes most of a second, and few runs need them
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

from nmt_cli.devices import Rank
from nmt_cli.errors import ResourceError
from nmt_cli.recipe.training import Parallel
from nmt_cli.training.objectives import Objective

_EXIT_DELAY = 2.0
"""Seconds that a rank waits after losing contact, so that the launcher sees the rank that failed first end first."""


class Distributed:
    """The processes that train together. Every rank must make the same calls in the same order."""

    def __init__(self, rank: Rank = Rank()) -> None:  # noqa: B008 - frozen
        self.rank, self.world_size = rank.rank, rank.world_size

    @property
    def is_primary(self) -> bool:
        """Whether this process writes files and messages for all."""
        return self.rank == 0

    def all_reduce_sum(self, *values: float) -> list[float]:
        """Return the sum of each value over all ranks."""
        if self.world_size == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(summed)
        return [float(value) for value in summed]

    def all_gather_object(self, value: Any) -> list[Any]:
        """Return the value of each rank, by rank."""
        gathered = [value] * self.world_size
        if self.world_size > 1:
            dist.all_gather_object(gathered, value)
        return gathered

    def barrier(self) -> None:
        """Wait until all ranks have called this."""
        self.all_reduce_sum(0.0)


@contextmanager
def init_distributed(rank: Rank, device: torch.device, timeout: float) -> Iterator[Distributed]:
    """Join the other processes.

    Raises:
        ResourceError: Another process ended, or did not answer for `timeout` seconds.
    """
    if rank.world_size == 1:
        yield Distributed()
        return
    # Values on the CPU go through gloo, so that no device has to wait for them.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
        yield Distributed(rank)
    except RuntimeError as error:
        # Errors of gloo have no class of their own.
        if not (isinstance(error, dist.DistError) or "gloo" in str(error).lower() or "NCCL" in str(error)):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold torch's store, which would keep Python from ending
        time.sleep(_EXIT_DELAY)
        raise ResourceError(
            f"rank {rank.rank}: another process has ended, or did not answer for {timeout:g} seconds;"
            " training is saved up to the last checkpoint: rerun the same command to resume"
        ) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def parallelize(objective: Objective, settings: Parallel, distributed: Distributed, device: torch.device) -> nn.Module:
    """Return the objective to call in training: gradients are averaged over ranks (DDP), or also sharded (FSDP2)."""
    if distributed.world_size == 1:
        return objective
    if settings.type == "ddp":
        return DistributedDataParallel(
            objective, gradient_as_bucket_view=True, find_unused_parameters=not objective.uses_all_parameters
        )
    from torch.distributed.fsdp import fully_shard

    mesh = dist.device_mesh.init_device_mesh(device.type, (distributed.world_size,))
    for unit in objective.model.fsdp_units():
        fully_shard(unit, mesh=mesh, reshard_after_forward=True)
    fully_shard(objective, mesh=mesh, reshard_after_forward=False)
    return objective


@contextmanager
def gradient_sync(objective: nn.Module, is_last: bool) -> Iterator[None]:
    """Exchange gradients between ranks only in the backward pass of an update's last batch."""
    if _is_fsdp_module(objective):
        objective.set_requires_gradient_sync(is_last)
    if isinstance(objective, DistributedDataParallel) and not is_last:
        with objective.no_sync():
            yield
    else:
        yield


@contextmanager
def unsharded_weights(objective: nn.Module) -> Iterator[None]:
    """Hold every parameter in full on every rank within the context, so that each rank can use the model alone."""
    sharded = [module for module in objective.modules() if _is_fsdp_module(module)]
    for module in sharded:
        module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        for index, module in enumerate(sharded):  # the first is the objective, which is never resharded
            module.set_reshard_after_forward(index > 0, recurse=False)
            module.reshard()


def full_tensor(tensor: Tensor) -> Tensor:
    """Return a tensor that may be sharded, in full and on the CPU. All ranks must call this."""
    gathered = tensor.full_tensor() if is_sharded(tensor) else tensor
    return gathered.detach().cpu()


def load_into(tensor: Tensor, value: Tensor) -> None:
    """Copy a full value into a tensor, or this rank's shard of it into a sharded tensor."""
    with torch.no_grad():
        tensor.copy_(shard_like(tensor, value))


def shard_like(tensor: Tensor | None, value: Tensor) -> Tensor:
    """Return this rank's shard of a full value if `tensor` is sharded and of the same shape, else the value."""
    if tensor is None or not is_sharded(tensor) or is_sharded(value) or value.shape != tensor.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    # src_data_rank=None: every rank has the full value, so nothing is sent.
    return distribute_tensor(value.to(tensor.device), tensor.device_mesh, tensor.placements, src_data_rank=None)


def is_sharded(tensor: Tensor) -> "TypeGuard[DTensor]":
    """Return whether this rank holds only a shard of the tensor."""
    return hasattr(tensor, "full_tensor")


def _is_fsdp_module(module: object) -> "TypeGuard[FSDPModule]":
    return hasattr(module, "unshard")
