"""Linear layers and dropout that are fast on a CPU, in training and, prepacked or quantised, in inference."""

import time
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.utils.weak import WeakIdKeyDictionary

from nmt_cli.errors import RecipeError
from nmt_cli.models.kernels.int8 import LinearFn, lazily_quantized, quantized, usable_engines

_HAS_ONEDNN = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]

_MKL_IS_SLOW = torch.backends.cpu.get_cpu_capability() == "AVX512"
"""MKL is slow on AVX-512 processors that are not Intel's; with AVX2 it trains faster (measured on an AMD EPYC)."""
_MAX_FEW_ROWS, _MAX_FEW_MULTIPLICATIONS = 4, 2**21
"""Up to this many, torch's own product is faster, partly because oneDNN compiles a kernel per shape, in about 1 ms."""

_PROBE_SIZE = {"cpu": 512, "cuda": 8192}
"""Rows of square matrices that are large enough to reach a device's full speed, and quick to multiply."""

_DROPOUT_LEVELS = 2**16

InferencePrecision = Literal["fp32", "bf16", "int8"]

MAX_SMALL_WEIGHT = 2**18
"""Elements up to which a call of oneDNN takes longer than torch's own product of a single row."""
_EXPECTED_ROWS = 32
"""Rows of inputs that oneDNN packs for; the layout of the weights hardly depends on it."""


class Linear(nn.Linear):
    """torch's linear layer, computed by `linear`.

    `splits` gives the number of outputs of each matrix where several are fused into one.
    """

    __call__: Callable[..., Tensor]

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
        and _HAS_ONEDNN
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


def at_least_fp32(values: Tensor) -> Tensor:
    """Return values in fp32, or unchanged if they are more exact."""
    return values if values.dtype == torch.float64 else values.float()


def initialize(module: nn.Module) -> None:
    """Initialise a linear layer (Glorot & Bengio 2010), bias zero; for `nn.Module.apply`."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Dropout(nn.Module):
    """Set each value to zero with probability `rate` in training, and scale the others to keep the mean."""

    __call__: Callable[..., Tensor]

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, values: Tensor) -> Tensor:
        return dropout(values, self.rate) if self.training else values


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
    # `ge_` writes 0 or 1 into the same integers: other comparisons and conversions are many times slower. A product
    # with a mask of the same type is twice as fast as `where`, forwards and backwards.
    kept = levels.ge_(dropped - _DROPOUT_LEVELS // 2).to(values.dtype)
    return values * kept.mul_(_DROPOUT_LEVELS / (_DROPOUT_LEVELS - dropped))


def matmul_speed(device: torch.device, precision: torch.dtype) -> float:
    """Measure the speed of a large matrix product in FLOP/s, an upper bound for any training."""
    size = _PROBE_SIZE[device.type]
    factor = torch.ones(size, size, device=device, dtype=precision)
    times = []
    for _ in range(12):  # the first warm up; on a shared machine, some are disturbed
        before = time.perf_counter()
        linear(factor, factor)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - before)
    return float(2 * size**3 / min(times))


class Backend:
    """Prepacks the linear layers of a model for inference on a CPU.

    bf16 and int8 are the precision of the products alone; inputs and outputs are fp32. int8 weights have a scale per
    output, inputs one for all, measured on the fly.
    """

    def __init__(self, precision: InferencePrecision, keeps_rows: bool = False) -> None:
        """Raise RecipeError if this torch has no int8 products for this processor.

        `keeps_rows`: whether output layers keep their matrices, too, for `Model.with_target_tokens`.
        """
        if precision == "int8" and not usable_engines():
            raise RecipeError("decoding.precision: this torch has no int8 products for this processor; use fp32")
        self._pack = {"fp32": _prepacked, "bf16": _prepacked_bf16, "int8": quantized}[precision]
        self.rows = {"fp32": unpacked, "bf16": _prepacked_bf16, "int8": lazily_quantized}[precision]
        """Returns the product with a matrix that is used for one batch only."""
        self.keeps_rows = keeps_rows
        self._packed: MutableMapping[Tensor, dict[tuple[int, bool], LinearFn]] = WeakIdKeyDictionary()
        self.is_useful = precision == "int8" or _HAS_ONEDNN
        """Whether packed layers are faster than torch's own."""

    def linear(self, weight: Tensor, bias: Tensor | None = None, relu: bool = False) -> LinearFn:
        """Return the product with weight [O,I] and bias [O], a ReLU after it if asked; tied weights are packed once."""
        functions, key = self._packed.setdefault(weight, {}), (id(bias), relu)
        if key not in functions:
            functions[key] = self._pack(weight.detach(), None if bias is None else bias.detach(), relu)
        return functions[key]


def prepare_children(module: nn.Module, backend: Backend) -> None:
    """Prepare all layers inside a module: call their `prepare_for_inference`, or replace simple layers by functions.

    In a small model, torch's module calls would take about as long as the rest of a step.
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
    """Return the function that a simple layer computes in inference; None for other layers."""
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
    if weight.numel() > MAX_SMALL_WEIGHT:
        return many_rows

    def single_row(inputs: Tensor) -> Tensor:
        outputs = functional.linear(inputs, weight, bias)
        return outputs.relu_() if relu else outputs

    return lambda inputs: single_row(inputs) if inputs.numel() == inputs.size(-1) else many_rows(inputs)


def _by_onednn(weight: Tensor, bias: Tensor | None, relu: bool) -> LinearFn:
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, _EXPECTED_ROWS)
    multiply, activation = torch.ops.mkldnn._linear_pointwise.default._op, "relu" if relu else "none"
    return lambda inputs: multiply(inputs, packed, bias, activation, [], "")


def unpacked(weight: Tensor, bias: Tensor | None) -> LinearFn:
    """torch's own product, for which nothing is prepared."""
    return lambda inputs: functional.linear(inputs, weight, bias)


def _prepacked_bf16(weight: Tensor, bias: Tensor | None, relu: bool = False) -> LinearFn:
    """A product in bf16, between fp32 inputs and outputs."""
    product = _by_onednn(weight.bfloat16(), None if bias is None else bias.bfloat16(), relu)
    return lambda inputs: product(inputs.bfloat16()).float()
