"""Device, precision and threads; the only file that may read environment variables."""

import ctypes
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Options of glibc's mallopt."""


def pick_device() -> torch.device:
    """The first CUDA device if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def describe(device: torch.device) -> str:
    """The device in words, for logs and reports."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def arithmetic(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """The context in which a model computes: bf16 where it is safe, or plain fp32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def keep_freed_memory() -> None:
    """Let glibc's malloc keep what is freed, to be called before a training; elsewhere it does nothing.

    By default blocks of many megabytes, which each update needs again, go back to the system, which fills them with
    zeros the next time.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_M_TRIM_THRESHOLD, 2**31 - 1), (_M_MMAP_THRESHOLD, 2**25)):
            mallopt(option, value)


def environment() -> dict[str, str | int]:
    """What a run's results may depend on besides its recipe."""
    device = pick_device()
    return {
        "device": describe(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
