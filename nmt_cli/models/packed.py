"""Models for search alone: weights in the order and the precision in which the processor multiplies fastest."""

import warnings
from typing import Literal

import torch
from torch import Tensor, nn

from nmt_cli.errors import RecipeError
from nmt_cli.models.contract import TranslationModel
from nmt_cli.models.layers import FeedForward
from nmt_cli.models.linear import HAS_ONEDNN, Linear, Packing
from nmt_cli.models.recurrent import RecurrentLayer
from nmt_cli.models.rnn import Rnn
from nmt_cli.models.transformer import Transformer

Precision = Literal["fp32", "bf16", "int8"]

_ROWS = 32
"""Rows of inputs that oneDNN is to expect; what it makes of the weights hardly depends on it."""

_WIDE = 4096
"""From so many outputs on, such as a vocabulary's, oneDNN's int8 product is up to twice as fast as FBGEMM's."""

_INT8, _INT8_RELU = torch.ops.quantized.linear_dynamic.default, torch.ops.quantized.linear_relu_dynamic.default

_ENGINES = ("x86", "onednn", "fbgemm", "qnnpack")
"""torch's int8 products, the fastest first."""


def pack(model: TranslationModel, precision: Precision) -> None:
    """Prepare a model on the CPU for search, in place: it cannot learn any more, nor be saved.

    bf16 and int8 are the precision of the products with weights alone; all else stays fp32. int8 weights have a
    scale for each output, inputs one for all, measured as they come.
    """
    if precision == "fp32" and not HAS_ONEDNN:
        return
    packed = _packing(precision)
    for module in list(model.modules()):
        if isinstance(module, FeedForward | RecurrentLayer):
            module.pack(packed)
        if isinstance(module, Transformer | Rnn):
            module.output.pack(module.embeddings.target, packed)
        for name, layer in module.named_children():
            if isinstance(layer, Linear):
                setattr(module, name, packed(layer.weight, layer.bias, False))


def _packing(precision: Precision) -> Packing:
    if precision != "int8":
        return _Packed if precision == "fp32" else _PackedBf16
    supported = torch.backends.quantized.supported_engines
    if not any(engine in supported for engine in _ENGINES):
        raise RecipeError("decoding.precision: this torch has no int8 products for this processor; say fp32")
    return _PackedInt8


class _Packed(nn.Module):
    """A product by oneDNN."""

    def __init__(self, weight: Tensor, bias: Tensor | None, relu: bool) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _ROWS)
        self.bias = None if bias is None else bias.detach()
        self.after = "relu" if relu else "none"

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self.weight, self.bias, self.after, [], "")
        return outputs


class _PackedBf16(_Packed):
    """A product in bf16, between fp32 inputs and outputs."""

    def __init__(self, weight: Tensor, bias: Tensor | None, relu: bool) -> None:
        super().__init__(weight.bfloat16(), None if bias is None else bias.bfloat16(), relu)

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.bfloat16()).float()


class _PackedInt8(nn.Module):
    """A product of 8-bit integers, between fp32 inputs and outputs."""

    def __init__(self, weight: Tensor, bias: Tensor | None, relu: bool) -> None:
        super().__init__()
        supported = torch.backends.quantized.supported_engines
        usable = [engine for engine in _ENGINES if engine in supported]
        is_wide = len(weight) >= _WIDE and "onednn" in supported
        before, torch.backends.quantized.engine = torch.backends.quantized.engine, "onednn" if is_wide else usable[0]
        try:
            self.weight = torch.ops.quantized.linear_prepack(_quantised(weight.detach()), bias)
        finally:
            torch.backends.quantized.engine = before
        self.multiply = _INT8_RELU if relu else _INT8
        # Without these instructions, sums of products of 8 bits by 8 can overflow.
        self.has_seven_bits = not torch.cpu._is_vnni_supported()

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.multiply(inputs, self.weight, self.has_seven_bits)
        return outputs


def _quantised(weight: Tensor) -> Tensor:
    """Weight [O,I] in signed 8-bit integers, with a scale for each output."""
    scales = (weight.abs().amax(1) / 127).clamp_min(torch.finfo(torch.float32).tiny)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.quantize_per", UserWarning)  # the product takes nothing else yet
        return torch.quantize_per_channel(
            weight, scales.double(), torch.zeros(len(weight), dtype=torch.long), axis=0, dtype=torch.qint8
        )
