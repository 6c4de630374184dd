"""Products of 8-bit integers on a CPU."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

LinearFn = Callable[[Tensor], Tensor]
"""Multiplies inputs [..., I] by fixed weights. Not a module: calling one costs as much as a small product."""

_MIN_QUANTIZED_ROWS = 16
"""Rows of inputs from which quantising a matrix for one batch costs less than it saves."""

_MIN_WIDE_OUTPUTS = 4096
"""From this number of outputs, such as a vocabulary's, oneDNN's int8 product is up to twice as fast as FBGEMM's."""
_HAS_AMX = torch.cpu._is_amx_tile_supported()
"""Whether oneDNN's int8 product of many rows is up to four times as fast as FBGEMM's (measured on an Intel Xeon)."""
_MIN_TILE_ROWS, _MAX_ELEMENTS_PACKED_TWICE = 16, 2**21
"""Rows of inputs from which that is so, and elements of a weight up to which it is packed for both products."""

_INT8 = torch.ops.quantized.linear_dynamic.default._op
_INT8_RELU = torch.ops.quantized.linear_relu_dynamic.default._op
"""The ops below torch's Python wrapper, which inspects each argument and takes as long as a product."""

_ENGINES = ("x86", "onednn", "fbgemm", "qnnpack")
"""torch's int8 engines, fastest first."""


def usable_engines() -> list[str]:
    """Return the int8 engines that this torch has for this processor, fastest first."""
    supported = torch.backends.quantized.supported_engines
    return [engine for engine in _ENGINES if engine in supported]


def quantized(weight: Tensor, bias: Tensor | None, relu: bool = False, min_rows: int = 1) -> LinearFn:
    """Return the product of 8-bit integers, between fp32 inputs and outputs, with weight [O,I] and bias [O].

    Inputs have at least `min_rows` rows. If there may be few or many, a small weight is packed for either.
    """
    engines, values = usable_engines(), _quantized_weight(weight)
    is_wide = len(weight) >= _MIN_WIDE_OUTPUTS
    if "onednn" not in engines or not (is_wide or _HAS_AMX):
        return _product(engines[0], values, bias, relu)
    many_rows = _product("onednn", values, bias, relu)
    if is_wide or min_rows >= _MIN_TILE_ROWS or weight.numel() > _MAX_ELEMENTS_PACKED_TWICE:
        return many_rows
    few_rows = _product(engines[0], values, bias, relu)
    return lambda inputs: (few_rows if inputs.numel() < _MIN_TILE_ROWS * inputs.size(-1) else many_rows)(inputs)


def lazily_quantized(weight: Tensor, bias: Tensor | None) -> LinearFn:
    """Return the product of 8-bit integers for many rows, which pay for the quantisation; of fp32 for few."""
    product: LinearFn | None = None

    def multiply(inputs: Tensor) -> Tensor:
        nonlocal product
        if inputs.numel() < _MIN_QUANTIZED_ROWS * inputs.size(-1):
            return functional.linear(inputs, weight, bias)
        product = product or quantized(weight, bias, min_rows=_MIN_QUANTIZED_ROWS)
        return product(inputs)

    return multiply


def _product(engine: str, values: Tensor, bias: Tensor | None, relu: bool) -> LinearFn:
    """Return the product with a quantised weight by one engine."""
    before, torch.backends.quantized.engine = torch.backends.quantized.engine, engine
    try:
        packed = torch.ops.quantized.linear_prepack(values, bias)
    finally:
        torch.backends.quantized.engine = before
    multiply = _INT8_RELU if relu else _INT8
    # Without these instructions, sums of 8-bit products can overflow.
    reduce_range = not torch.cpu._is_vnni_supported()
    return lambda inputs: multiply(inputs, packed, reduce_range)


def _quantized_weight(weight: Tensor) -> Tensor:
    """Quantise a weight [O,I] to signed 8-bit integers, with a scale per output."""
    largest = torch.maximum(weight.amax(1), -weight.amin(1))  # without a copy of the weight, as `abs` makes
    scales = (largest / 127).clamp_min(torch.finfo(torch.float32).tiny)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.quantize_per", UserWarning)  # the product takes nothing else yet
        return torch.quantize_per_channel(
            weight, scales.double(), torch.zeros(len(weight), dtype=torch.long), axis=0, dtype=torch.qint8
        )
