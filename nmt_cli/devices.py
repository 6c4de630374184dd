"""Device, precision, threads, rank and memory; the only file that may read environment variables."""

import ctypes
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

from nmt_cli.errors import ResourceError

Precision = Literal["fp32", "bf16"]

_KEPT_PRIMITIVES, _KEPT_DESCRIPTIONS = 128, 32
"""Of products: somewhat more than the layers of one batch need, and those of one layer, which the next shares."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
"""Options of glibc's mallopt."""

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


def may_hang_when_restarted() -> bool:
    """Whether torchrun starts failed ranks again, but lets them read where dead ones listened (PyTorch #135712)."""
    here = os.environ
    return here.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0" and here.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def default_processes() -> int:
    """One for each CUDA device, else one."""
    return max(1, torch.cuda.device_count())


def share_threads(processes: int) -> None:
    """Give each of the processes that will be started here its part of the cores, unless the user has said how many."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))


def become_worker(number: int, count: int) -> None:
    """Take this process's part of the machine, as one of `count` that work apart: a CUDA device, or some cores."""
    os.environ["LOCAL_RANK"] = str(number % default_processes())
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // count))


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


def seed_draws(device: torch.device, seed: int) -> None:
    """Have what is drawn on the CPU and on this device follow from a seed.

    torch.manual_seed does so for every kind of device there may be, which takes it two milliseconds.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def arithmetic(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """The context in which a model computes: bf16 where it is safe and the device can do it, or plain fp32."""
    if precision == "fp32" or not multiplies_bf16(device):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def keep_memory_in_bounds() -> None:
    """Prepare this process for work that takes long: to be called before its first product of matrices.

    For each shape of a product oneDNN keeps the program that it makes, and torch its description, a quarter of a
    megabyte each. Batches seldom have a shape again, but 1024 of each would be kept. A description costs next to
    nothing to make anew while its program is there.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_KEPT_PRIMITIVES))
    os.environ.setdefault("LRU_CACHE_CAPACITY", str(_KEPT_DESCRIPTIONS))
    _tell_malloc((_M_TRIM_THRESHOLD, 2**31 - 1), (_M_MMAP_THRESHOLD, 2**25))


def keep_freed_memory() -> None:
    """Prepare this process for searches, which free large blocks, such as their caches, only to need them again.

    glibc's malloc gives them back to the system, which fills them with zeros the next time.
    """
    _tell_malloc((_M_TRIM_THRESHOLD, 2**31 - 1), (_M_MMAP_MAX, 0))


def _tell_malloc(*options: tuple[int, int]) -> None:
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in options:
            mallopt(option, value)


def give_back_freed_memory() -> None:
    """Return to the system what is free between pieces in use, which glibc's malloc keeps.

    Tensors of ever other sizes leave ever other gaps: without this, a process that translates holds a third more.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def multiplies_bf16(device: torch.device) -> bool:
    """Whether bf16 products are fast: a CPU without instructions for them is many times slower than in fp32."""
    return device.type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def environment() -> dict[str, str | int]:
    """What a run's results may depend on besides its recipe."""
    device = pick_device()
    return {
        "device": describe(device),
        "ranks": rank().count,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def peak_memory(device: torch.device) -> int:
    """Most bytes held so far: by tensors on a CUDA device, or by this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if os.uname().sysname == "Darwin" else 1024)


def memory_size(device: torch.device) -> int:
    """Bytes that a CUDA device has, or this machine."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


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
