"""Muon: momentum whose updates are made orthogonal, for the matrices inside a model."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nmt_cli.devices import multiplies_bf16
from nmt_cli.models.attention import SelfAttention, SourceAttention
from nmt_cli.models.layers import FeedForward
from nmt_cli.models.output import Output

_ITERATIONS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_RMS = 0.2
"""What the numbers of AdamW's updates usually are, in learning rates (Liu et al. 2025)."""

_GATES = {nn.RNN: 1, nn.GRU: 3, nn.LSTM: 4}


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024), scaled so that AdamW's learning rate and weight decay fit (Liu et al. 2025).

    It does what torch.optim.Muon does with adjust_lr_fn="match_rms_adamw", and two things more. A weight that is
    several matrices, one below the other, is cut into `parts`, rows of each, and each is made orthogonal for itself;
    together, the part with the largest gradient (the values of attention, as a rule) would leave the others little.
    And matrices of one shape are multiplied at once, which saves a GPU hundreds of small kernels.
    """

    def __init__(
        self,
        params: list[dict[str, Any]],
        lr: float,
        momentum: float,
        nesterov: bool,
        parts: Mapping[Tensor, list[int]],
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": 0.0})
        self._parts = parts

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Change all weights that have a gradient; there is no closure."""
        assert closure is None
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            directions = [self._direction(weight, group) for weight in weights]
            for weight, update in zip(weights, self._orthogonal(weights, directions), strict=True):
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(_sharded_as(weight, update), alpha=-group["lr"])

    def _direction(self, weight: Tensor, group: dict[str, Any]) -> Tensor:
        """The gradient's running mean, whole on each device."""
        assert weight.grad is not None
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight.grad)
        mean: Tensor = state["momentum_buffer"].lerp_(weight.grad, 1 - group["momentum"])
        direction = weight.grad.lerp(mean, group["momentum"]) if group["nesterov"] else mean
        return direction.full_tensor() if hasattr(direction, "full_tensor") else direction

    def _orthogonal(self, weights: list[Tensor], directions: list[Tensor]) -> list[Tensor]:
        """Updates of all weights, whose numbers have a root mean square near _RMS."""
        matrices = [
            part
            for weight, direction in zip(weights, directions, strict=True)
            for part in torch.split(direction, self._parts.get(weight, [len(direction)]))
        ]
        alike: dict[torch.Size, list[int]] = defaultdict(list)
        for number, matrix in enumerate(matrices):
            alike[matrix.shape].append(number)
        for shape, numbers in alike.items():
            made = orthogonalise(torch.stack([matrices[number] for number in numbers])) * (_RMS * max(shape) ** 0.5)
            for number, matrix in zip(numbers, made, strict=True):
                matrices[number] = matrix
        left = iter(matrices)
        return [torch.cat([next(left) for _ in self._parts.get(weight, [len(weight)])]) for weight in weights]


def orthogonalise(matrices: Tensor) -> Tensor:
    """Nearly the closest matrices [n,R,C] with orthogonal rows or columns, by Newton-Schulz, in bf16 where it is fast.

    All singular values become about one, between 0.7 and 1.2: the coefficients are made to bring up small ones fast.
    """
    a, b, c = _COEFFICIENTS
    tall = matrices.size(1) > matrices.size(2)
    precision = torch.bfloat16 if multiplies_bf16(matrices.device) else matrices.dtype
    wide = (matrices.mT if tall else matrices).to(precision)
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)  # no singular value is above one
    for _ in range(_ITERATIONS):
        square = wide @ wide.mT
        polynomial = torch.baddbmm(square, square, square, beta=b, alpha=c)
        wide = torch.baddbmm(wide, polynomial, wide, beta=a)
    return (wide.mT if tall else wide).to(matrices.dtype)


@dataclass(frozen=True)
class InnerMatrices:
    """The weights that Muon is for."""

    weights: list[nn.Parameter]
    parts: dict[Tensor, list[int]]
    """Rows of each matrix in those that hold several."""


def inner_matrices(model: nn.Module) -> InnerMatrices:
    """The matrices that learn, but embeddings and output layer: their rows are words. One row alone is a vector."""
    words = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
    parts: dict[Tensor, list[int]] = {}
    for module in model.modules():
        if isinstance(module, Output) and module.projection is not None:
            words.add(module.projection.weight)
        elif isinstance(module, SelfAttention):
            parts[module.query_key_value.weight] = [heads * module.head_width for heads in module.heads]
        elif isinstance(module, SourceAttention):
            parts[module.key_value.weight] = _equal(module.key_value.weight, 2)
        elif isinstance(module, FeedForward) and module.activation == "swiglu":
            parts[module.inner.weight] = _equal(module.inner.weight, 2)
        elif isinstance(module, nn.RNNBase):
            gates = next(number for cells, number in _GATES.items() if isinstance(module, cells))
            parts |= {weight: _equal(weight, gates) for weight in module.parameters() if weight.dim() == 2}
    inner = [
        weight
        for weight in model.parameters()
        if weight.requires_grad and weight.dim() == 2 and min(weight.shape) > 1 and weight not in words
    ]
    return InnerMatrices(inner, parts)


def _equal(weight: Tensor, number: int) -> list[int]:
    return [len(weight) // number] * number


def _sharded_as(weight: Tensor, whole: Tensor) -> Tensor:
    """A tensor that all devices have whole, cut as a weight is (FSDP)."""
    if not hasattr(weight, "device_mesh"):
        return whole
    from torch.distributed.tensor import DTensor, distribute_tensor  # takes most of a second to import

    assert isinstance(weight, DTensor)
    return distribute_tensor(whole, weight.device_mesh, weight.placements, src_data_rank=None)
