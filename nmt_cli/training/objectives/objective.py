"""The objective protocol, and losses computed in chunks so that not all logits are held at once."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.autograd.graph import Node

from nmt_cli.data.batches import Batch
from nmt_cli.models.contract import DecoderInput, DecoderOutput, Model, ModelInputs, OutputPositions
from nmt_cli.text.special_tokens import COPY_IDS

LogitsLoss = Callable[[Sequence[Tensor], Tensor], Tensor]
"""Logits [c,V], one tensor for each pass, and labels [c] → a loss summed over the c positions."""

ChunkLoss = Callable[[Sequence[DecoderOutput]], Tensor]
"""Decoder outputs of the same targets, one for each pass → the summed loss of some positions or sentences."""

_LOGITS_PER_CHUNK_CPU = 2**22
"""Fewer are slower, more cost memory for hardly any speed."""

_LOGITS_PER_CHUNK = 2**27
"""On other devices a chunk must keep thousands of cores busy; not measured yet."""


class LossOutput(NamedTuple):
    """The loss of a batch: `sum / count` is the mean per target token."""

    sum: Tensor
    """In nats, summed over the target tokens."""
    count: int  # type: ignore[assignment]
    """Target tokens."""
    values: dict[str, Tensor]
    """Parts of the sum, for logs."""


class Objective(nn.Module, ABC):
    """A module that holds the model and returns its training loss; DDP, FSDP2 and compile wrap this module."""

    num_updates = 0
    """Optimizer updates made so far, for what changes in training; the loop sets it before each update."""
    fraction_done = 0.0
    """Completed fraction of the training, in [0,1], likewise."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.uses_all_parameters = model.uses_all_parameters
        """Whether each training pass gives every parameter a gradient."""

    @abstractmethod
    def forward(self, batch: Batch) -> LossOutput:
        """Return the loss of a batch: in training mode what is minimised, else plain cross-entropy."""


def inputs_of(batch: Batch, ids: Tensor | None = None, repeats: int = 1, copies: bool = False) -> ModelInputs:
    """Return the source side of a batch, `repeats` times along the batch dimension; `ids` replace its ids.

    With `copies`, a model still copies the batch's own tokens.
    """
    if not batch.source.size(1):  # text without translations
        return ModelInputs(repeats * len(batch.source))
    columns = {COPY_IDS: batch.source, **batch.source_columns} if copies else batch.source_columns
    if repeats > 1:
        columns = {name: column.repeat(repeats, *[1] * (column.dim() - 1)) for name, column in columns.items()}
    inputs = ModelInputs.from_ids(batch.source if ids is None else ids, columns=columns)
    return replace(inputs, extra_ids=batch.extra_ids) if batch.extra_ids else inputs


def decoder_input_of(batch: Batch, ids: Tensor | None = None, repeats: int = 1) -> DecoderInput:
    """Return what the decoder reads of a batch, `repeats` times along the batch dimension; `ids` replace its ids."""
    ids = batch.decoder_input if ids is None else ids
    if batch.positions is None or batch.segment_ids is None:
        return DecoderInput(ids)
    return DecoderInput(ids, batch.positions.repeat(repeats, 1), batch.segment_ids.repeat(repeats, 1))


def chunked_loss(outputs: Sequence[DecoderOutput], chunk_losses: Iterable[ChunkLoss]) -> Tensor:
    """Sum the chunk losses and compute their gradients at once, chunk by chunk.

    So no logits outlive their chunk, and none are computed twice; the backward pass uses these gradients.

    Args:
        outputs: One element per forward pass. Only these and the model's parameters may need a gradient.
        chunk_losses: Of groups of positions or of sentences.
    """
    detached = [output.map(lambda tensor: tensor.detach().requires_grad_(tensor.requires_grad)) for output in outputs]
    losses, leaves, gradients = list[Tensor](), list[Tensor](), list[Tensor]()
    for chunk_loss in chunk_losses:
        loss = chunk_loss(detached)
        losses.append(loss.detach())
        if loss.requires_grad:
            leaves = leaves or _leaves(loss)
            added = torch.autograd.grad(loss, leaves)
            gradients = [old + new for old, new in zip(gradients, added, strict=True)] if gradients else list(added)
    total = torch.stack(losses).sum()
    if not leaves:
        return total
    copies, originals = ([tensor for each in records for tensor in each.tensors()] for records in (detached, outputs))
    replaced = dict(zip(map(id, copies), originals, strict=True))
    inputs = [replaced.get(id(leaf), leaf) for leaf in leaves]
    attached: Tensor = _KnownGradients.apply(total, gradients, *inputs)  # type: ignore[no-untyped-call]
    return attached


def chunks_by_position(
    model: Model, positions: OutputPositions, labels: Tensor, loss: LogitsLoss, num_passes: int = 1
) -> Iterator[ChunkLoss]:
    """Split a loss over positions [n] with labels [n] into chunks of bounded size."""
    size = chunk_size(model.vocabulary.target_size * num_passes, labels.device)
    for part, part_labels in zip(positions.split(size), torch.split(labels, size), strict=True):
        yield lambda outputs, part=part, part_labels=part_labels: loss(  # type: ignore[misc]
            [model.logits(output, part) for output in outputs], part_labels
        )


def chunk_size(logits_each: int, device: torch.device) -> int:
    """Return how many positions (or sentences) form a chunk, if each has `logits_each` logits."""
    return max(1, (_LOGITS_PER_CHUNK_CPU if device.type == "cpu" else _LOGITS_PER_CHUNK) // logits_each)


class _KnownGradients(torch.autograd.Function):
    """Attaches a loss to the tensors that it was computed from, whose gradients are known."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradients: Sequence[Tensor], *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*gradients)
        return loss.clone()  # an input that is returned would count as a view of itself

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(gradient * grad_output for gradient in ctx.saved_tensors)


def _leaves(loss: Tensor) -> list[Tensor]:
    """Return the leaves that a loss was computed from and that need a gradient."""
    leaves, visited = list[Tensor](), set[Node]()
    waiting = [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in visited:
            visited.add(node)
            leaves += [node.variable] if hasattr(node, "variable") else []
            waiting.extend(following for following, _ in node.next_functions)
    return leaves
