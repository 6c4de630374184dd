"""Losses over the target vocabulary in chunks of positions, so that not all scores are held at once."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.autograd.graph import Node

from nmt_cli.models.contract import Decoded, TranslationModel

ChunkLoss = Callable[[Sequence[Tensor], Tensor], Tensor]
"""Scores [c,V], one for each decoding, and labels [c] → a loss summed over the c positions."""

_SCORES_ON_CPU = 2**22
"""Scores that a chunk has on a CPU: fewer are slower, more cost memory for hardly any speed."""

_SCORES_ELSEWHERE = 2**27
"""On other devices a chunk must keep thousands of cores busy; not measured yet."""


def loss_in_chunks(
    model: TranslationModel, decodings: Sequence[Decoded], positions: Tensor, labels: Tensor, loss: ChunkLoss
) -> Tensor:
    """The loss summed over positions [n] with labels [n], of one or more decodings of the same targets.

    Besides scores and labels the loss may depend only on what needs no gradient. The gradients of the decodings and of
    the output's weights are computed chunk by chunk here already and wait for the backward pass, so that no scores
    outlive their chunk and none are computed twice.
    """
    apart = [_apart(decoded) for decoded in decodings]
    rows = _rows(model.vocabularies.target_size * len(decodings), positions.device)
    losses, leaves, gradients = list[Tensor](), list[Tensor](), list[Tensor]()
    for places, words in zip(torch.split(positions, rows), torch.split(labels, rows), strict=True):
        part = loss([model.scores(decoded, places) for decoded in apart], words)
        losses.append(part.detach())
        if part.requires_grad:
            leaves = leaves or _leaves(part)
            added = torch.autograd.grad(part, leaves)
            gradients = [old + new for old, new in zip(gradients, added, strict=True)] if gradients else list(added)
    total = torch.stack(losses).sum()
    if not leaves:
        return total
    origins = dict(zip(map(id, _tensors(apart)), _tensors(decodings), strict=True))
    inputs = [origins.get(id(leaf), leaf) for leaf in leaves]
    known: Tensor = _KnownGradients.apply(total, gradients, *inputs)  # type: ignore[no-untyped-call]
    return known


class _KnownGradients(torch.autograd.Function):
    """Ties a loss to what it was computed from, of which the gradients are known."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradients: Sequence[Tensor], *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*gradients)
        return loss.clone()  # an input given back would count as a view of itself

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(gradient * scale for gradient in ctx.saved_tensors)


def _apart(decoded: Decoded) -> Decoded:
    """The same values as leaves of a graph of their own."""
    vectors, attention = decoded.vectors, decoded.attention
    return Decoded(
        vectors.detach().requires_grad_(vectors.requires_grad),
        None if attention is None else attention.detach().requires_grad_(attention.requires_grad),
    )


def _tensors(decodings: Sequence[Decoded]) -> list[Tensor]:
    return [part for decoded in decodings for part in (decoded.vectors, decoded.attention) if part is not None]


def _leaves(loss: Tensor) -> list[Tensor]:
    """The leaves that a loss was computed from and that need a gradient."""
    leaves, seen = list[Tensor](), set[Node]()
    waiting = [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.append(node.variable)
        waiting.extend(following for following, _ in node.next_functions)
    return leaves


def _rows(scores_per_position: int, device: torch.device) -> int:
    """Positions in a chunk."""
    scores = _SCORES_ON_CPU if device.type == "cpu" else _SCORES_ELSEWHERE
    return max(1, scores // scores_per_position)
