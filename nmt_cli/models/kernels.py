"""Linear layers and dropout that are fast on a CPU."""

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

HAS_ONEDNN = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]

_MKL_IS_SLOW = torch.backends.cpu.get_cpu_capability() == "AVX512"
"""MKL is slow on AVX-512 processors that are not Intel's; with AVX2 it trains faster (measured on an AMD EPYC)."""
_MAX_FEW_ROWS, _MAX_FEW_MULTIPLICATIONS = 4, 2**21
"""Up to these torch's own product is faster, also since oneDNN compiles a kernel for each shape, in about 1 ms."""

_PROBE_SIZE = {"cpu": 512, "cuda": 8192}
"""Rows of square matrices that are large enough to reach a device's full speed, and quick to multiply."""

_DROPOUT_LEVELS = 2**16


class Linear(nn.Linear):
    """torch's linear layer, computed by `linear`.

    `splits` gives the number of outputs of each matrix where several are fused into one.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True, splits: Sequence[int] = ()) -> None:
        super().__init__(inputs, outputs, bias)
        self.splits = splits

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply inputs [..., I] by weight [O,I] and add bias [O] → [..., O].

    In fp32 on a CPU torch multiplies by MKL, which is slow on AVX-512 processors that are not Intel's; oneDNN, which
    torch contains too and uses in bf16, is up to twice as fast there.
    """
    if (
        _MKL_IS_SLOW
        and HAS_ONEDNN
        and inputs.device.type == "cpu"
        and inputs.dtype == weight.dtype == torch.float32
        and inputs.numel() > _MAX_FEW_ROWS * inputs.size(-1)
        and inputs.numel() * weight.size(0) > _MAX_FEW_MULTIPLICATIONS
        and not torch.is_autocast_enabled("cpu")
    ):
        outputs: Tensor = _OneDnnLinear.apply(inputs, weight, bias)  # type: ignore[no-untyped-call]
        return outputs
    return functional.linear(inputs, weight, bias)


class _OneDnnLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        return _onednn_linear(inputs, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        inputs, weight = ctx.saved_tensors
        needs_inputs, needs_weight, needs_bias = ctx.needs_input_grad
        rows = grad_output.flatten(0, -2)
        return (
            _onednn_linear(grad_output, weight.t()) if needs_inputs else None,
            _onednn_linear(rows.t(), inputs.flatten(0, -2).t()) if needs_weight else None,
            rows.sum(0) if needs_bias else None,
        )


def _onednn_linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    outputs: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return outputs


def initialize(module: nn.Module) -> None:
    """Initialise a linear layer (Glorot & Bengio 2010), bias zero; for `nn.Module.apply`."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Dropout(nn.Module):
    """Set each value to zero with probability `rate` in training, and scale the others to keep the mean."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, values: Tensor) -> Tensor:
        return dropout(values, self.rate) if self.training else values

    def extra_repr(self) -> str:
        return f"{self.rate}"


def dropout(values: Tensor, rate: float) -> Tensor:
    """Drop values with probability `rate`, drawing from torch's default generator of their device.

    On a CPU torch's own dropout costs more than a matrix product, as it draws a number for each value; here one draw of
    64 bits serves four values, so the rate is a multiple of 2^-16.
    """
    if rate == 0:
        return values
    if values.device.type != "cpu":
        return functional.dropout(values, rate)
    dropped = min(max(round(rate * _DROPOUT_LEVELS), 1), _DROPOUT_LEVELS - 1)
    draws = torch.empty(values.numel() // 4 + 1, dtype=torch.int64).random_(-(2**63), None)
    levels = draws.view(torch.int16)[: values.numel()].view(values.shape)
    # Compared in place, 0 or 1 in the same integers: other comparisons and conversions are many times slower. A product
    # with a mask of the same type is twice as fast as `where`, forwards and backwards.
    kept = levels.ge_(dropped - _DROPOUT_LEVELS // 2).to(values.dtype)
    return values * kept.mul_(_DROPOUT_LEVELS / (_DROPOUT_LEVELS - dropped))


def matmul_speed(device: torch.device, precision: torch.dtype) -> float:
    """Measure the speed of a large matrix product in FLOP/s, an upper bound for any training."""
    size = _PROBE_SIZE[device.type]
    factor = torch.ones(size, size, device=device, dtype=precision)
    times = []
    for _ in range(12):  # the first warm up; on a shared machine, some are disturbed
        _synchronize(device)
        before = time.perf_counter()
        linear(factor, factor)
        _synchronize(device)
        times.append(time.perf_counter() - before)
    return float(2 * size**3 / min(times))


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
