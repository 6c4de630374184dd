"""Device, precision, threads, rank and memory; the only file that may read environment variables."""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

from nmt_cli.errors import ResourceError

Precision = Literal["fp32", "bf16"]

_PRODUCT_SIZE = {"cpu": 768, "cuda": 8192}
"""Rows of the square matrices whose product shows what a device can do: large enough, and done in a blink."""

_REFUSALS = (
    "can't allocate memory",
    "could not create a primitive",
    "could not create a memory object",
    "bad_alloc",
    "can't start new thread",
    "Resource temporarily unavailable",
)
"""What the CPU's allocator, oneDNN, the C++ library and threads to be say where there is no memory left."""


@dataclass(frozen=True)
class Rank:
    """Which of the processes that train together this one is."""

    number: int = 0
    count: int = 1
    local: int = 0
    """Its number on this machine."""


def rank() -> Rank:
    """What torchrun, or our own --nproc, says this process is; alone if neither started it."""
    here = os.environ
    return Rank(int(here.get("RANK", 0)), int(here.get("WORLD_SIZE", 1)), int(here.get("LOCAL_RANK", 0)))


def is_rank() -> bool:
    """Whether this process was started as a rank, even as the only one."""
    return "RANK" in os.environ


def is_restarted() -> bool:
    """Whether torchrun has started this process again after one of the ranks failed."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def default_processes() -> int:
    """One for each CUDA device, else one."""
    return max(1, torch.cuda.device_count())


def share_threads(processes: int) -> None:
    """Give each of the processes that will be started here its part of the cores, unless the user has said how many."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))


def pick_device() -> torch.device:
    """The CUDA device of this rank if there is one, else the CPU."""
    return torch.device("cuda", rank().local) if torch.cuda.is_available() else torch.device("cpu")


def describe(device: torch.device) -> str:
    """The device in words, for logs and reports."""
    ranks = rank().count
    together = f"{ranks} × " if ranks > 1 else ""
    if device.type == "cuda":
        return together + torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{together}CPU, {threads} {'thread' if threads == 1 else 'threads'}"


def arithmetic(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """The context in which a model computes: bf16 where it is safe, or plain fp32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def environment() -> dict[str, str | int]:
    """What a run's results may depend on besides its recipe."""
    device = pick_device()
    return {
        "device": describe(device),
        "ranks": rank().count,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def product_speed(device: torch.device, precision: Precision) -> float:
    """FLOP/s of a large matrix product, measured now: what no training can surpass."""
    size = _PRODUCT_SIZE[device.type]
    factor = torch.ones(size, size, device=device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    times = []
    for _ in range(4):  # the first warms up
        _wait(device)
        before = time.perf_counter()
        torch.mm(factor, factor)
        _wait(device)
        times.append(time.perf_counter() - before)
    return float(2 * size**3 / min(times))


def peak_memory(device: torch.device) -> int:
    """Most bytes held so far: by tensors on a CUDA device, or by this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if os.uname().sysname == "Darwin" else 1024)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device, or the operating system, refused an allocation."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(refusal in str(error) for refusal in _REFUSALS)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn refusals of memory into a message."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ResourceError("out of memory; lower training.batch_tokens or decoding.batch_tokens") from error


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
