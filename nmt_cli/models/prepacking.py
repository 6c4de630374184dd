"""Linear layers for inference on a CPU: weights prepacked by oneDNN, or quantised to int8."""

import warnings
from collections.abc import Callable, MutableMapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.weak import WeakIdKeyDictionary

from nmt_cli.errors import RecipeError
from nmt_cli.models.kernels import HAS_ONEDNN, Dropout, Linear

LinearFn = Callable[[Tensor], Tensor]
"""Multiplies inputs [..., I] by fixed weights. No module: calling one costs as much as a small product."""

Precision = Literal["fp32", "bf16", "int8"]

_MAX_SMALL_WEIGHT = 2**18
"""Elements up to which a call of oneDNN takes longer than torch's own product of a single row."""
_EXPECTED_ROWS = 32
"""Rows of inputs that oneDNN packs for; the layout of the weights hardly depends on it."""

_MIN_WIDE_OUTPUTS = 4096
"""From this number of outputs, such as a vocabulary's, oneDNN's int8 product is up to twice as fast as FBGEMM's."""

_INT8 = torch.ops.quantized.linear_dynamic.default._op
_INT8_RELU = torch.ops.quantized.linear_relu_dynamic.default._op
"""The ops below torch's Python wrapper, which inspects each argument and takes as long as a product."""

_ENGINES = ("x86", "onednn", "fbgemm", "qnnpack")
"""torch's int8 engines, fastest first."""


class Backend:
    """Prepacks the linear layers of a model for inference on a CPU.

    bf16 and int8 are the precision of the products alone; inputs and outputs are fp32. int8 weights have a scale per
    output, inputs one for all, measured on the fly.
    """

    def __init__(self, precision: Precision) -> None:
        """Raise RecipeError if this torch has no int8 products for this processor."""
        supported = torch.backends.quantized.supported_engines
        if precision == "int8" and not any(engine in supported for engine in _ENGINES):
            raise RecipeError("decoding.precision: this torch has no int8 products for this processor; use fp32")
        self._pack = {"fp32": _prepacked, "bf16": _prepacked_bf16, "int8": _quantized}[precision]
        self._packed: MutableMapping[Tensor, dict[tuple[int, bool], LinearFn]] = WeakIdKeyDictionary()
        self.is_useful = precision == "int8" or HAS_ONEDNN
        """Whether packed layers are faster than torch's own."""

    def linear(self, weight: Tensor, bias: Tensor | None = None, relu: bool = False) -> LinearFn:
        """Return the product with weight [O,I] and bias [O], a ReLU after it if asked; tied weights are packed once."""
        functions, key = self._packed.setdefault(weight, {}), (id(bias), relu)
        if key not in functions:
            functions[key] = self._pack(weight, bias, relu)
        return functions[key]


def prepare_children(module: nn.Module, backend: Backend) -> None:
    """Prepare all layers inside a module: by their own `prepare_for_inference`, or as the simple layers they are.

    Simple layers become functions, since for a small model a step takes hardly longer than torch's module calls.
    """
    for name, layer in list(module.named_children()):
        prepare = getattr(layer, "prepare_for_inference", None)
        if prepare is not None:
            prepare(backend)
        elif (function := _as_function(layer, backend)) is None:
            prepare_children(layer, backend)
        elif not isinstance(module, nn.ModuleList):  # which holds modules only
            replace_submodule(module, name, function)


def _as_function(layer: nn.Module, backend: Backend) -> LinearFn | None:
    """Return what a simple layer computes in inference; None if it is not simple."""
    if isinstance(layer, Linear):
        return backend.linear(layer.weight, layer.bias)
    if isinstance(layer, nn.LayerNorm):
        shape, weight, bias, epsilon = layer.normalized_shape, layer.weight.detach(), layer.bias.detach(), layer.eps
        return lambda values: torch.layer_norm(values, shape, weight, bias, epsilon)
    if isinstance(layer, nn.Identity | Dropout):
        return lambda values: values
    return None


def replace_submodule(module: nn.Module, name: str, function: LinearFn) -> None:
    """Replace a submodule by a function."""
    delattr(module, name)  # torch allows only a module in the place of a module
    setattr(module, name, function)


def _prepacked(weight: Tensor, bias: Tensor | None, relu: bool) -> LinearFn:
    """A product by oneDNN; with a small weight, a single row is multiplied by torch's own."""
    many_rows = _by_onednn(weight, bias, relu)
    if weight.numel() > _MAX_SMALL_WEIGHT:
        return many_rows
    weight, bias = weight.detach(), _detached(bias)

    def single_row(inputs: Tensor) -> Tensor:
        outputs = functional.linear(inputs, weight, bias)
        return outputs.relu_() if relu else outputs

    return lambda inputs: single_row(inputs) if inputs.numel() == inputs.size(-1) else many_rows(inputs)


def _by_onednn(weight: Tensor, bias: Tensor | None, relu: bool) -> LinearFn:
    packed, bias = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _EXPECTED_ROWS), _detached(bias)
    multiply, activation = torch.ops.mkldnn._linear_pointwise.default._op, "relu" if relu else "none"
    return lambda inputs: multiply(inputs, packed, bias, activation, [], "")


def _prepacked_bf16(weight: Tensor, bias: Tensor | None, relu: bool) -> LinearFn:
    """A product in bf16, between fp32 inputs and outputs."""
    product = _by_onednn(weight.bfloat16(), None if bias is None else bias.bfloat16(), relu)
    return lambda inputs: product(inputs.bfloat16()).float()


def _quantized(weight: Tensor, bias: Tensor | None, relu: bool) -> LinearFn:
    """A product of 8-bit integers, between fp32 inputs and outputs."""
    supported = torch.backends.quantized.supported_engines
    usable = [engine for engine in _ENGINES if engine in supported]
    is_wide = len(weight) >= _MIN_WIDE_OUTPUTS and "onednn" in supported
    before, torch.backends.quantized.engine = torch.backends.quantized.engine, "onednn" if is_wide else usable[0]
    try:
        packed = torch.ops.quantized.linear_prepack(_quantized_weight(weight.detach()), _detached(bias))
    finally:
        torch.backends.quantized.engine = before
    multiply = _INT8_RELU if relu else _INT8
    # Without these instructions, sums of 8-bit products can overflow.
    reduce_range = not torch.cpu._is_vnni_supported()
    return lambda inputs: multiply(inputs, packed, reduce_range)


def _detached(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach()


def _quantized_weight(weight: Tensor) -> Tensor:
    """Quantise a weight [O,I] to signed 8-bit integers, with a scale per output."""
    scales = (weight.abs().amax(1) / 127).clamp_min(torch.finfo(torch.float32).tiny)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.quantize_per", UserWarning)  # the product takes nothing else yet
        return torch.quantize_per_channel(
            weight, scales.double(), torch.zeros(len(weight), dtype=torch.long), axis=0, dtype=torch.qint8
        )
