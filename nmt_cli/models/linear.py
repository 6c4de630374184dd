"""Linear layers that are as fast as the processor allows."""

import time
import warnings
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from nmt_cli.errors import RecipeError

HAS_ONEDNN = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]

Product = Callable[[Tensor], Tensor]
"""Multiplies inputs [..., I]; no module, for to call one takes as long as a small product."""

Packing = Callable[[Tensor, Tensor | None, bool], Product]
"""Makes a product with weight [O,I] and bias [O], with or without a ReLU after it; see `packing`."""

Precision = Literal["fp32", "bf16", "int8"]

_LITTLE = 2**18
"""Weights up to which a call of oneDNN takes longer than torch's own product of a single row."""
_ROWS = 32
"""Rows of inputs that oneDNN is to expect; what it makes of the weights hardly depends on it."""

_WIDE = 4096
"""From so many outputs on, such as a vocabulary's, oneDNN's int8 product is up to twice as fast as FBGEMM's."""

_INT8 = torch.ops.quantized.linear_dynamic.default._op
_INT8_RELU = torch.ops.quantized.linear_relu_dynamic.default._op
"""Called by what torch's Python calls: on its way there it looks at each argument, which takes as long as a product."""

_ENGINES = ("x86", "onednn", "fbgemm", "qnnpack")
"""torch's int8 products, the fastest first."""

_LARGE = {"cpu": 512, "cuda": 8192}
"""Rows of square matrices whose product shows what a device can do, and is done in a blink."""

_MKL_HOLDS_BACK = torch.backends.cpu.get_cpu_capability() == "AVX512"
"""Where a processor has AVX2 alone it does not: there training is faster with it (measured on an AMD EPYC)."""
_FEW_ROWS, _FEW_MULTIPLICATIONS = 4, 2**21
"""Up to these torch's own product is faster, also since oneDNN makes a program for each shape, within a millisecond."""


class Linear(nn.Linear):
    """torch's linear layer, by `linear`."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Inputs [..., I], weight [O,I] and bias [O] → [..., O].

    In fp32 on a CPU torch multiplies by MKL, which holds back on processors with AVX-512 that are not Intel's; oneDNN,
    which torch has too and uses in bf16, is up to twice as fast there.
    """
    if (
        _MKL_HOLDS_BACK
        and HAS_ONEDNN
        and inputs.device.type == "cpu"
        and inputs.dtype == weight.dtype == torch.float32
        and inputs.numel() > _FEW_ROWS * inputs.size(-1)
        and inputs.numel() * weight.size(0) > _FEW_MULTIPLICATIONS
        and not torch.is_autocast_enabled("cpu")
    ):
        outputs: Tensor = _OneDnnLinear.apply(inputs, weight, bias)  # type: ignore[no-untyped-call]
        return outputs
    return functional.linear(inputs, weight, bias)


def packing(precision: Precision) -> Packing:
    """What makes products for search on a CPU, of weights in the order in which the processor wants them.

    bf16 and int8 are the precision of the products alone; inputs and outputs are fp32. int8 weights have a scale
    for each output, inputs one for all, measured as they come.
    """
    if precision != "int8":
        return _packed if precision == "fp32" else _packed_bf16
    supported = torch.backends.quantized.supported_engines
    if not any(engine in supported for engine in _ENGINES):
        raise RecipeError("decoding.precision: this torch has no int8 products for this processor; say fp32")
    return _packed_int8


def become(module: nn.Module, name: str, function: Product) -> None:
    """Have a function where a module has a part of this name."""
    delattr(module, name)  # torch lets nothing but another module take the place
    setattr(module, name, function)


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


def _packed(weight: Tensor, bias: Tensor | None, relu: bool) -> Product:
    """A product by oneDNN; for a single row, if that is soon done, torch's own."""
    many = _by_onednn(weight, bias, relu)
    if weight.numel() > _LITTLE:
        return many
    weight, bias = weight.detach(), _detached(bias)

    def single(inputs: Tensor) -> Tensor:
        outputs = functional.linear(inputs, weight, bias)
        return outputs.relu_() if relu else outputs

    return lambda inputs: single(inputs) if inputs.numel() == inputs.size(-1) else many(inputs)


def _by_onednn(weight: Tensor, bias: Tensor | None, relu: bool) -> Product:
    order, bias = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _ROWS), _detached(bias)
    multiply, after = torch.ops.mkldnn._linear_pointwise.default._op, "relu" if relu else "none"
    return lambda inputs: multiply(inputs, order, bias, after, [], "")


def _packed_bf16(weight: Tensor, bias: Tensor | None, relu: bool) -> Product:
    """A product in bf16, between fp32 inputs and outputs."""
    product = _by_onednn(weight.bfloat16(), None if bias is None else bias.bfloat16(), relu)
    return lambda inputs: product(inputs.bfloat16()).float()


def _packed_int8(weight: Tensor, bias: Tensor | None, relu: bool) -> Product:
    """A product of 8-bit integers, between fp32 inputs and outputs."""
    supported = torch.backends.quantized.supported_engines
    usable = [engine for engine in _ENGINES if engine in supported]
    is_wide = len(weight) >= _WIDE and "onednn" in supported
    before, torch.backends.quantized.engine = torch.backends.quantized.engine, "onednn" if is_wide else usable[0]
    try:
        packed = torch.ops.quantized.linear_prepack(_quantised(weight.detach()), _detached(bias))
    finally:
        torch.backends.quantized.engine = before
    multiply = _INT8_RELU if relu else _INT8
    # Without these instructions, sums of products of 8 bits by 8 can overflow.
    has_seven_bits = not torch.cpu._is_vnni_supported()
    return lambda inputs: multiply(inputs, packed, has_seven_bits)


def _detached(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach()


def _quantised(weight: Tensor) -> Tensor:
    """Weight [O,I] in signed 8-bit integers, with a scale for each output."""
    scales = (weight.abs().amax(1) / 127).clamp_min(torch.finfo(torch.float32).tiny)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.quantize_per", UserWarning)  # the product takes nothing else yet
        return torch.quantize_per_channel(
            weight, scales.double(), torch.zeros(len(weight), dtype=torch.long), axis=0, dtype=torch.qint8
        )
