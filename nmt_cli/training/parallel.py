"""Many processes that train one model: how they agree, and how they share gradients or weights."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
import torch.distributed as distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

if TYPE_CHECKING:  # these take most of a second to import, which few trainings need
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

from nmt_cli.devices import Rank
from nmt_cli.errors import ResourceError
from nmt_cli.recipe.training import Parallel

_AFTER_YOU = 2.0
"""Seconds for which a rank that has lost contact stays, so that the one that failed first is also seen to end first."""


class Ranks:
    """The processes that train together; every method but the first must be called by all of them alike."""

    def __init__(self, rank: Rank = Rank()) -> None:  # noqa: B008 - frozen
        self.number, self.count = rank.number, rank.count

    @property
    def is_first(self) -> bool:
        """Whether this one talks and writes for all."""
        return self.number == 0

    def sum(self, *values: float) -> list[float]:
        """Each value, summed over all."""
        if self.count == 1:
            return list(values)
        together = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(together)
        return [float(value) for value in together]

    def gather(self, value: Any) -> list[Any]:
        """What each one has, in order."""
        gathered = [value] * self.count
        if self.count > 1:
            distributed.all_gather_object(gathered, value)
        return gathered

    def wait(self) -> None:
        """Go on when all are here."""
        if self.count > 1:
            self.sum(0.0)


@contextmanager
def joined(rank: Rank, device: torch.device, timeout: float) -> Iterator[Ranks]:
    """Join the other processes; ResourceError if one of them is lost or silent for `timeout` seconds."""
    if rank.count == 1:
        yield Ranks()
        return
    # What is agreed upon lies on the CPU and goes by gloo, so that no device has to wait for it.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        distributed.init_process_group(backend, timeout=timedelta(seconds=timeout))
        yield Ranks(rank)
    except RuntimeError as error:
        if not _is_lost_contact(error):
            raise
        time.sleep(_AFTER_YOU)
        raise ResourceError(
            f"rank {rank.number}: another process has ended, or did not answer for {timeout:g} seconds;"
            " all is saved up to the last checkpoint: the same command goes on from there"
        ) from error
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def shared(objective: nn.Module, settings: Parallel, ranks: Ranks, device: torch.device) -> nn.Module:
    """The objective, its gradients the mean over all ranks (DDP), or its weights shared out as well (FSDP2)."""
    if ranks.count == 1:
        return objective
    if settings.type == "ddp":
        # Where layers are left out by chance, some weights have no gradient on some ranks.
        drops_layers = any(getattr(module, "layer_drop", 0) for module in objective.modules())
        return DistributedDataParallel(objective, gradient_as_bucket_view=True, find_unused_parameters=drops_layers)
    from torch.distributed.fsdp import fully_shard

    mesh = distributed.device_mesh.init_device_mesh(device.type, (ranks.count,))
    for module in list(objective.modules()):
        if isinstance(module, nn.ModuleList):
            for layer in module:
                fully_shard(layer, mesh=mesh, reshard_after_forward=True)
    fully_shard(objective, mesh=mesh, reshard_after_forward=False)
    return objective


@contextmanager
def sharing(objective: nn.Module, last: bool) -> Iterator[None]:
    """Ranks exchange gradients after the `last` batch of an update only."""
    if _has_shared_weights(objective):
        objective.set_requires_gradient_sync(last)
    if isinstance(objective, DistributedDataParallel) and not last:
        with objective.no_sync():
            yield
    else:
        yield


@contextmanager
def whole_weights(objective: nn.Module) -> Iterator[None]:
    """Within, every weight is whole on every rank, so that each can use the model by itself."""
    sharded = [module for module in objective.modules() if _has_shared_weights(module)]
    for module in sharded:
        module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        for number, module in enumerate(sharded):  # the first is the objective, which is never resharded
            module.set_reshard_after_forward(number > 0, recurse=False)
            module.reshard()


def whole(tensor: Tensor) -> Tensor:
    """A tensor of which each rank may hold a share, whole on the CPU; to be called by all ranks alike."""
    gathered = tensor.full_tensor() if is_share(tensor) else tensor
    return gathered.detach().cpu()


def fill(tensor: Tensor, value: Tensor) -> None:
    """Give a tensor, or this rank's share of it, the values of a whole one."""
    with torch.no_grad():
        tensor.copy_(share_like(tensor, value))


def share_like(tensor: Tensor | None, value: Tensor) -> Tensor:
    """A whole value of the tensor's shape as the tensor is: whole, or this rank's share."""
    if tensor is None or not is_share(tensor) or value.shape != tensor.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    # Each rank takes its share of a value that all have.
    return distribute_tensor(value.to(tensor.device), tensor.device_mesh, tensor.placements, src_data_rank=None)


def is_share(tensor: Tensor) -> "TypeGuard[DTensor]":
    """Whether this is a rank's share of a tensor."""
    return hasattr(tensor, "full_tensor")


def _has_shared_weights(module: object) -> "TypeGuard[FSDPModule]":
    """Whether the ranks share out the weights of a module."""
    return hasattr(module, "unshard")


def _is_lost_contact(error: RuntimeError) -> bool:
    """Whether an error of torch is about the other processes; gloo's own is of no class."""
    return isinstance(error, distributed.DistError) or "gloo" in str(error).lower() or "NCCL" in str(error)
