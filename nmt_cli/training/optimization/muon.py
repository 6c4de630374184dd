"""Muon: orthogonalised momentum, for all matrices of a model except embeddings and output layer."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nmt_cli.devices import has_fast_bf16
from nmt_cli.models.contract import Model
from nmt_cli.training.distributed import is_sharded, shard_like

_ITERATIONS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_RMS = 0.2
"""Usual root mean square of AdamW's updates at a learning rate of 1 (Liu et al. 2025)."""


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024), scaled to use AdamW's learning rate and weight decay (Liu et al. 2025).

    It adds two things to torch.optim.Muon with adjust_lr_fn="match_rms_adamw":

    - A parameter that stacks several matrices is split by `row_splits`, and each matrix is orthogonalised separately.
      Otherwise the matrix with the largest gradient (usually that of the attention values) would dominate the update.
    - Matrices of one shape are multiplied in one batch, which saves hundreds of small kernels on a GPU.
    """

    def __init__(
        self,
        params: list[dict[str, Any]],
        lr: float,
        momentum: float,
        nesterov: bool,
        row_splits: Mapping[Tensor, list[int]],
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": 0.0})
        self._row_splits = row_splits

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update all parameters that have a gradient. A closure is not supported."""
        assert closure is None
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            momenta = [self._momentum(parameter, group) for parameter in parameters]
            for parameter, update in zip(parameters, self._orthogonalised_updates(parameters, momenta), strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(shard_like(parameter, update), alpha=-group["lr"])

    def _momentum(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        """Update the moving average of the gradient, and return the direction of the step, unsharded."""
        assert parameter.grad is not None
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter.grad)
        average: Tensor = state["momentum_buffer"].lerp_(parameter.grad, 1 - group["momentum"])
        direction = parameter.grad.lerp(average, group["momentum"]) if group["nesterov"] else average
        return direction.full_tensor() if is_sharded(direction) else direction

    def _orthogonalised_updates(self, parameters: list[Tensor], momenta: list[Tensor]) -> list[Tensor]:
        """Return the update of each parameter before the learning rate, with a root mean square near _RMS."""
        matrices = [
            matrix
            for parameter, momentum in zip(parameters, momenta, strict=True)
            for matrix in torch.split(momentum, self._row_splits[parameter])
        ]
        by_shape: dict[torch.Size, list[int]] = defaultdict(list)
        for index, matrix in enumerate(matrices):
            by_shape[matrix.shape].append(index)
        for shape, indices in by_shape.items():
            updates = orthogonalise(torch.stack([matrices[index] for index in indices])) * (_RMS * max(shape) ** 0.5)
            for index, update in zip(indices, updates, strict=True):
                matrices[index] = update
        remaining = iter(matrices)
        return [torch.cat([next(remaining) for _ in self._row_splits[each]]) for each in parameters]


def orthogonalise(matrices: Tensor) -> Tensor:
    """Approximate the closest matrices [n,R,C] with orthonormal rows or columns, by Newton-Schulz iteration.

    Computes in bf16 where that is fast. The resulting singular values are between 0.7 and 1.2, because the coefficients
    favour fast growth of small ones over convergence to 1.
    """
    a, b, c = _COEFFICIENTS
    tall = matrices.size(1) > matrices.size(2)
    precision = torch.bfloat16 if has_fast_bf16(matrices.device) else matrices.dtype
    wide = (matrices.mT if tall else matrices).to(precision)
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)  # all singular values ≤ 1
    for _ in range(_ITERATIONS):
        square = wide @ wide.mT
        polynomial = torch.baddbmm(square, square, square, beta=b, alpha=c)
        wide = torch.baddbmm(wide, polynomial, wide, beta=a)
    return (wide.mT if tall else wide).to(matrices.dtype)


def inner_matrices(model: Model) -> dict[Tensor, list[int]]:
    """Return the parameters that Muon trains, and the number of rows of each matrix stacked in them.

    These are the trainable matrices except embeddings and output layer, whose rows are tokens or positions. Matrices
    with a single row or column count as vectors and are left out.
    """
    embeddings = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
    vocabulary_names = {each.name for each in model.vocabulary_parameters()}
    row_splits = model.fused_parameters()
    return {
        weight: list(row_splits.get(name, [len(weight)]))
        for name, weight in model.named_parameters()
        if weight.requires_grad and weight.dim() == 2 and min(weight.shape) > 1
        if name not in vocabulary_names and weight not in embeddings
    }
