"""Label-smoothed cross-entropy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nmt_cli.data.batches import Batch
from nmt_cli.models.contract import DecoderOutput, EncoderOutput, Model, OutputPositions
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
    """Label-smoothed cross-entropy (Szegedy et al. 2016) in nats, summed over the labelled positions.

    In training, that of the source tokens may be added, of a model that reads the source as a prefix.
    """

    def __init__(self, model: Model, label_smoothing: float, source_weight: float = 0.0) -> None:
        """`source_weight` is that of the loss of source tokens."""
        super().__init__(model)
        self.label_smoothing, self.source_weight = label_smoothing, source_weight

    def forward(self, batch: Batch) -> LossOutput:
        encoder_output = self.model.encode(inputs_of(batch))
        output, values = self.model.decode(encoder_output, decoder_input_of(batch)), dict[str, Tensor]()
        vocabulary_size = self.model.vocabulary.target_size
        criterion = CrossEntropyCriterion(self.label_smoothing if self.training else 0.0, vocabulary_size)
        loss = self._loss([output], batch, criterion)
        if self.training and self.source_weight:
            values["source_loss"] = self._source_loss(encoder_output, batch)
            loss = loss + self.source_weight * values["source_loss"]
        return LossOutput(loss, batch.target_tokens, {name: value.detach() for name, value in values.items()})

    def _loss(self, outputs: Sequence[DecoderOutput], batch: Batch, logits_loss: LogitsLoss) -> Tensor:
        """Sum a loss over the labelled positions of a batch, given the outputs of all passes."""
        positions = OutputPositions.from_index(batch.label_positions, batch.decoder_input.size(1))
        return chunked_loss(outputs, chunks_by_position(self.model, positions, batch.labels, logits_loss, len(outputs)))

    def _source_loss(self, encoder_output: EncoderOutput, batch: Batch, num_passes: int = 1) -> Tensor:
        """Sum the loss of each source token but the first, eos included; the mean of all passes."""
        assert encoder_output.prefix is not None, "the model reads the source as a prefix"
        prefixes, (batch_size, length) = encoder_output.prefix.chunk(num_passes), batch.source.shape
        indices = torch.arange(batch_size * length, device=batch.source.device).view(batch_size, length)
        positions = OutputPositions.from_index(indices[:, :-1].flatten(), length)
        labels = batch.source[:, 1:].flatten()
        criterion = CrossEntropyCriterion(self.label_smoothing, self.model.vocabulary.target_size)
        if not len(labels):
            return encoder_output.prefix.hidden_states.new_zeros(())
        losses = [
            chunked_loss([each], chunks_by_position(self.model, positions, labels, criterion)) for each in prefixes
        ]
        return torch.stack(losses).mean()


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
