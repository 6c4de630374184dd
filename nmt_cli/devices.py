"""Device, precision, threads, rank and memory. The only module that reads environment variables."""

import ctypes
import os
import resource
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

from nmt_cli.errors import ResourceError

Precision = Literal["fp32", "bf16"]

_MAX_PRIMITIVES, _MAX_DESCRIPTORS = 128, 32
"""Cached matmul kernels: somewhat more than the layers of one batch need; and their descriptors, which layers share."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
"""Options of mallopt in glibc."""

_OUT_OF_MEMORY_MESSAGES = (
    "can't allocate memory",
    "could not create a primitive",
    "could not create a memory object",
    "bad_alloc",
    "can't start new thread",
    "Resource temporarily unavailable",
)
"""Messages of torch's CPU allocator, oneDNN, the C++ library and thread creation when memory runs out."""


@dataclass(frozen=True)
class Rank:
    """Index of this process among the processes that train together."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    """Index on this machine."""


def current_rank() -> Rank:
    """Return the rank that torchrun or `--nproc` gave to this process, by default the only one."""
    variables = os.environ
    return Rank(int(variables.get("RANK", 0)), int(variables.get("WORLD_SIZE", 1)), int(variables.get("LOCAL_RANK", 0)))


def is_rank() -> bool:
    """Return whether this process was started as a rank, even as the only one."""
    return "RANK" in os.environ


def is_restarted() -> bool:
    """Return whether torchrun has restarted this process after a rank failed."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def may_hang_when_restarted() -> bool:
    """Return whether torchrun restarts failed ranks with the store of ranks that have ended (PyTorch #135712)."""
    variables = os.environ
    is_store_shared = variables.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return variables.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0" and is_store_shared


def default_processes() -> int:
    """Return the number of CUDA devices, at least 1."""
    return max(1, torch.cuda.device_count())


def divide_threads(num_processes: int) -> None:
    """Divide the cores among the processes that will be started, unless the user has set the number of threads."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_processes)))


def init_worker(index: int, count: int) -> None:
    """Limit this process, one of `count` independent workers, to a CUDA device or to its part of the cores."""
    os.environ["LOCAL_RANK"] = str(index % default_processes())
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // count))


def pick_device() -> torch.device:
    """Return the CUDA device of this rank, or the CPU if there is none."""
    return torch.device("cuda", current_rank().local_rank) if torch.cuda.is_available() else torch.device("cpu")


def describe(device: torch.device) -> str:
    """Describe the device for logs and reports."""
    world_size = current_rank().world_size
    prefix = f"{world_size} × " if world_size > 1 else ""
    if device.type == "cuda":
        return prefix + torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{prefix}CPU, {threads} {'thread' if threads == 1 else 'threads'}"


def seed_generators(device: torch.device, seed: int) -> None:
    """Seed the random generators of the CPU and of this device.

    torch.manual_seed seeds those of every supported kind of device, which takes 2 ms.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return the context in which to run a model: bf16 autocast if requested and fast on the device, else nothing."""
    if precision == "fp32" or not has_fast_bf16(device):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def limit_memory_growth() -> None:
    """Limit the caches of a long-running process. Call this before its first matrix multiplication.

    oneDNN caches a kernel for each matmul shape, and torch a descriptor, a quarter of a megabyte each; by default 1024
    of each. Shapes of batches rarely recur. A descriptor is cheap to rebuild while its kernel is cached.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_MAX_PRIMITIVES))
    os.environ.setdefault("LRU_CACHE_CAPACITY", str(_MAX_DESCRIPTORS))
    _call_libc("mallopt", _M_TRIM_THRESHOLD, 2**31 - 1)
    _call_libc("mallopt", _M_MMAP_THRESHOLD, 2**25)


def keep_freed_memory() -> None:
    """Let malloc keep large freed blocks for reuse. For searches, which free and allocate large caches repeatedly.

    By default glibc returns such blocks to the system, which has to zero them at the next allocation.
    """
    _call_libc("mallopt", _M_TRIM_THRESHOLD, 2**31 - 1)
    _call_libc("mallopt", _M_MMAP_MAX, 0)


def release_freed_memory() -> None:
    """Return free memory between allocated blocks to the system; glibc would keep it.

    Tensors of varying sizes fragment the heap: without this, a process that translates uses a third more memory.
    """
    _call_libc("malloc_trim", 0)


def _call_libc(name: str, *arguments: int) -> None:
    """Call a function of glibc; other C libraries do not have it."""
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function(*arguments)


def has_fast_bf16(device: torch.device) -> bool:
    """Return whether bf16 matmuls are fast. A CPU without bf16 instructions is many times slower than in fp32."""
    return device.type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def environment() -> dict[str, str | int]:
    """Return what the results of a run may depend on besides its recipe."""
    device = pick_device()
    return {
        "device": describe(device),
        "ranks": current_rank().world_size,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def peak_memory(device: torch.device) -> int:
    """Return peak memory use in bytes: of tensors on a CUDA device, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if os.uname().sysname == "Darwin" else 1024)


def total_memory(device: torch.device) -> int:
    """Return the memory of a CUDA device, or of this machine, in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an allocation failed, on a device or in the operating system."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error) for message in _OUT_OF_MEMORY_MESSAGES)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise ResourceError instead of out-of-memory errors."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ResourceError("out of memory; lower training.batch_tokens or decoding.batch_tokens") from error
