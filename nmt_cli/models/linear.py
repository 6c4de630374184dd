"""Linear layers that are as fast as the processor allows."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

HAS_ONEDNN = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]

Packing = Callable[[Tensor, Tensor | None, bool], nn.Module]
"""Makes a layer that multiplies by weight [O,I] and adds bias [O], with or without a ReLU after it; see packed.py."""

_LARGE = {"cpu": 512, "cuda": 8192}
"""Rows of square matrices whose product shows what a device can do, and is done in a blink."""

_FEW_ROWS = 4
"""Up to so many rows torch's own product is faster."""


class Linear(nn.Linear):
    """torch's linear layer, by `linear`."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Inputs [..., I], weight [O,I] and bias [O] → [..., O].

    In fp32 on a CPU torch multiplies by MKL, which holds back on processors that are not Intel's; oneDNN, which torch
    has too and uses in bf16, is up to twice as fast there.
    """
    if (
        inputs.device.type == "cpu"
        and inputs.dtype == weight.dtype == torch.float32
        and inputs.numel() > _FEW_ROWS * inputs.size(-1)
        and HAS_ONEDNN
        and not torch.is_autocast_enabled("cpu")
    ):
        outputs: Tensor = _OneDnnLinear.apply(inputs, weight, bias)  # type: ignore[no-untyped-call]
        return outputs
    return functional.linear(inputs, weight, bias)


def product_speed(device: torch.device, precision: torch.dtype) -> float:
    """FLOP/s of a large product of matrices, measured now: what no training can surpass."""
    size = _LARGE[device.type]
    factor = torch.ones(size, size, device=device, dtype=precision)
    times = []
    for _ in range(12):  # the first warm up; on a shared machine, some are disturbed
        _wait(device)
        before = time.perf_counter()
        linear(factor, factor)
        _wait(device)
        times.append(time.perf_counter() - before)
    return float(2 * size**3 / min(times))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _OneDnnLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        return _product(inputs, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, change: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        inputs, weight = ctx.saved_tensors
        of_inputs, of_weight, of_bias = ctx.needs_input_grad
        rows = change.flatten(0, -2)
        return (
            _product(change, weight.t()) if of_inputs else None,
            _product(rows.t(), inputs.flatten(0, -2).t()) if of_weight else None,
            rows.sum(0) if of_bias else None,
        )


def _product(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    outputs: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return outputs
