"""Label-smoothed cross-entropy."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nmt_cli.data.batches import Batch
from nmt_cli.models.contract import Source, TranslationModel
from nmt_cli.training.objectives.chunked import loss_in_chunks


class CrossEntropy(nn.Module):
    """Label-smoothed cross-entropy (Szegedy et al. 2016) in nats, summed over the real target positions."""

    step = 0
    """Updates made so far, for what changes as training goes on; the loop sets it before each update."""

    def __init__(self, model: TranslationModel, label_smoothing: float) -> None:
        super().__init__()
        self.model = model
        self.label_smoothing = label_smoothing

    def forward(self, batch: Batch) -> tuple[Tensor, int]:
        """The summed loss of a batch, and how many target tokens it sums over."""
        source = Source(batch.source, factors=batch.source_columns.get("factors"))
        decoded = self.model.decode(self.model.encode(source), batch.target_in)
        smoothing = self.label_smoothing if self.training else 0.0

        def loss(scores: Sequence[Tensor], labels: Tensor) -> Tensor:
            return smoothed_cross_entropy(scores[0], labels, smoothing)

        return loss_in_chunks(self.model, [decoded], batch.positions, batch.labels, loss), batch.target_tokens


def smoothed_cross_entropy(scores: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of scores [n,V] and labels [n], summed, in fp32 at least; `smoothing` is spread over all words.

    It is functional.cross_entropy with fewer passes over the scores.
    """
    loss: Tensor = _SmoothedCrossEntropy.apply(scores, labels, smoothing)  # type: ignore[no-untyped-call]
    return loss


class _SmoothedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        exact = scores if scores.dtype == torch.float64 else scores.float()
        likely = exact.softmax(-1)
        # The likeliest word's share is never so small that its logarithm is inexact, so the sum of all is exact too.
        log_sums = exact.amax(-1) - likely.amax(-1).log()
        hits = exact.gather(1, labels.unsqueeze(1))
        spread = smoothing / scores.size(1)
        loss = log_sums.sum() - (1 - smoothing) * hits.sum()
        if smoothing:
            loss -= spread * exact.sum()
        if ctx.needs_input_grad[0]:
            # Softmax less the smoothed label.
            gradient = likely.sub_(spread) if smoothing else likely
            gradient.scatter_add_(1, labels.unsqueeze(1), gradient.new_full(hits.shape, smoothing - 1))
            ctx.save_for_backward(gradient.to(scores.dtype))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * scale.to(gradient.dtype), None, None
