"""Label-smoothed cross-entropy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nmt_cli.data.batches import Batch
from nmt_cli.models.contract import DecoderOutput, Model, OutputPositions
from nmt_cli.models.kernels import at_least_fp32
from nmt_cli.training.objectives.objective import (
    LogitsLoss,
    LossOutput,
    Objective,
    chunked_loss,
    chunks_by_position,
    decoder_input_of,
    inputs_of,
)


class CrossEntropyObjective(Objective):
    """Label-smoothed cross-entropy (Szegedy et al. 2016) in nats, summed over the labelled positions."""

    def __init__(self, model: Model, label_smoothing: float) -> None:
        super().__init__(model)
        self.label_smoothing = label_smoothing

    def forward(self, batch: Batch) -> LossOutput:
        output = self.model.decode(self.model.encode(inputs_of(batch)), decoder_input_of(batch))
        vocabulary_size = self.model.vocabulary.target_size
        criterion = CrossEntropyCriterion(self.label_smoothing if self.training else 0.0, vocabulary_size)
        return LossOutput(self._loss([output], batch, criterion), batch.target_tokens, {})

    def _loss(self, outputs: Sequence[DecoderOutput], batch: Batch, logits_loss: LogitsLoss) -> Tensor:
        """Sum a loss over the labelled positions of a batch, given the outputs of all passes."""
        positions = OutputPositions.from_index(batch.label_positions, batch.decoder_input.size(1))
        return chunked_loss(outputs, chunks_by_position(self.model, positions, batch.labels, logits_loss, len(outputs)))


@dataclass(frozen=True)
class CrossEntropyCriterion:
    """Label-smoothed cross-entropy of one pass."""

    epsilon: float
    vocabulary_size: int
    """See label_smoothed_cross_entropy."""
    cutoff_rates = (0.0,)
    """One pass, no words cut off."""

    def __call__(self, logits: Sequence[Tensor], labels: Tensor) -> Tensor:
        return label_smoothed_cross_entropy(logits[0], labels, self.epsilon, self.vocabulary_size)


def label_smoothed_cross_entropy(logits: Tensor, labels: Tensor, epsilon: float, vocabulary_size: int) -> Tensor:
    """Return the summed cross-entropy of logits [n,V] or [n,V+E] and labels [n], in fp32 at least.

    Equals functional.cross_entropy, with fewer passes over the logits, if there are V of them (`vocabulary_size`).
    Epsilon is spread over these only: the others stand for words of the source, impossible (-inf) where the sentence
    does not have them.
    """
    loss: Tensor = _LabelSmoothedCrossEntropy.apply(logits, labels, epsilon, vocabulary_size)  # type: ignore[no-untyped-call]
    return loss


class _LabelSmoothedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, epsilon: float, vocabulary_size: int) -> Tensor:
        exact = at_least_fp32(logits)
        probs = exact.softmax(-1)
        # The largest probability is never so small that its logarithm is inexact, so the log-sum is exact too.
        log_sums = exact.amax(-1) - probs.amax(-1).log()
        target_logits = exact.gather(1, labels.unsqueeze(1))
        smoothed = exact[:, :vocabulary_size]
        epsilon_each = epsilon / smoothed.size(1)
        loss = log_sums.sum() - (1 - epsilon) * target_logits.sum()
        if epsilon:
            loss -= epsilon_each * smoothed.sum()
        if ctx.needs_input_grad[0]:
            # Softmax less the smoothed label.
            gradient = probs
            if epsilon:
                gradient[:, :vocabulary_size].sub_(epsilon_each)
            gradient.scatter_add_(1, labels.unsqueeze(1), gradient.new_full(target_logits.shape, epsilon - 1))
            ctx.save_for_backward(gradient.to(logits.dtype))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_output.to(gradient.dtype), None, None, None
