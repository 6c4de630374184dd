"""Cross-entropy with what a recipe adds to it in training: consistency, input noise, and losses of attention."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from nmt_cli.data.batches import Batch, TokenAlignment
from nmt_cli.models.contract import DecoderOutput, EncoderOutput, Model
from nmt_cli.models.kernels import at_least_fp32
from nmt_cli.recipe.training import RDropSettings, SimCutSettings, Training
from nmt_cli.training.objectives.cross_entropy import (
    CrossEntropyCriterion,
    CrossEntropyObjective,
    label_smoothed_cross_entropy,
)
from nmt_cli.training.objectives.input_noise import (
    sampling_rate,
    scheduled_sampling,
    source_token_mask,
    target_token_mask,
    word_dropout,
)
from nmt_cli.training.objectives.objective import LossOutput, decoder_input_of, inputs_of

_MIN_ATTENTION = 1e-9
"""Attention below this counts as this, so that a link without attention has a finite loss."""


class RegularizedObjective(CrossEntropyObjective):
    """A loss of one or two passes over each batch, with word dropout, scheduled sampling and losses of attention.

    Two passes are one pass over twice the sentences; dropout and input noise are drawn separately for each. In
    evaluation it is plain cross-entropy.
    """

    def __init__(self, model: Model, settings: Training, unk: int) -> None:
        super().__init__(model, settings.label_smoothing, settings.source_loss)
        new_criterion, vocabulary_size = _CRITERIA[type(settings.consistency)], model.vocabulary.target_size
        self.criterion = new_criterion(settings.label_smoothing, settings.consistency, vocabulary_size)
        self.num_passes = len(self.criterion.cutoff_rates)
        self.word_dropout = settings.word_dropout
        self.sampling = settings.scheduled_sampling
        self.alignment_weight = settings.guided_alignment.weight if settings.guided_alignment else 0.0
        self.coverage_weight = settings.coverage_loss.weight if settings.coverage_loss else 0.0
        self.unk = unk

    def forward(self, batch: Batch) -> LossOutput:
        if not self.training:
            return super().forward(batch)
        (encoder_output, output), values = self._decode(batch), dict[str, Tensor]()
        loss = self._loss(output.chunk(self.num_passes), batch, self.criterion)
        if self.source_weight:
            values["source_loss"] = self._source_loss(encoder_output, batch, self.num_passes)
            loss = loss + self.source_weight * values["source_loss"]
        attentions = () if output.cross_attention is None else output.cross_attention.chunk(self.num_passes)
        if self.alignment_weight and batch.alignment is not None and attentions:
            each = [alignment_loss(batch.alignment, attention) for attention in attentions]
            values["guided_alignment"] = torch.stack(each).mean()
            loss = loss + self.alignment_weight * values["guided_alignment"]
        if self.coverage_weight and attentions:
            each = [coverage_loss(attention, batch.label_positions) for attention in attentions]
            values["coverage_loss"] = torch.stack(each).mean()
            loss = loss + self.coverage_weight * values["coverage_loss"]
        return LossOutput(loss, batch.target_tokens, {name: value.detach() for name, value in values.items()})

    def _decode(self, batch: Batch) -> tuple[EncoderOutput, DecoderOutput]:
        """Encode and decode all passes over a batch, concatenated along the batch dimension."""
        model, num_passes = self.model, self.num_passes
        source_mask = source_token_mask(batch, model.vocabulary.special_tokens.eos)
        target_mask = target_token_mask(batch)
        source = self._drop_words([batch.source] * num_passes, source_mask, self.word_dropout.source)
        encoder_output = model.encode(inputs_of(batch, source, num_passes, copies=model.capabilities.copies))
        ids = batch.decoder_input.repeat(num_passes, 1)
        if (rate := sampling_rate(self.sampling, self.num_updates)) > 0:
            positions = torch.cat(
                [batch.label_positions + index * batch.decoder_input.numel() for index in range(num_passes)]
            )
            ids = scheduled_sampling(model, encoder_output, ids, target_mask.repeat(num_passes, 1), positions, rate)
        ids = self._drop_words(ids.chunk(num_passes), target_mask, self.word_dropout.target)
        needs_attention = self.coverage_weight > 0 or (self.alignment_weight > 0 and batch.alignment is not None)
        target = decoder_input_of(batch, ids, num_passes)
        return encoder_output, model.decode(encoder_output, target, attention=needs_attention)

    def _drop_words(self, passes: Sequence[Tensor], token_mask: Tensor, rate: float) -> Tensor:
        """Drop words from the ids [B,·] of each pass, at the rate of word dropout and at the pass's own."""
        return torch.cat(
            [
                word_dropout(ids, token_mask, 1 - (1 - rate) * (1 - cutoff), self.unk)
                for ids, cutoff in zip(passes, self.criterion.cutoff_rates, strict=True)
            ]
        )


class Criterion(Protocol):
    """The loss of one or two passes over a batch, as a function of their logits."""

    @property
    def cutoff_rates(self) -> Sequence[float]:
        """For each pass, the probability that a word is cut off from its input."""
        ...

    def __call__(self, logits: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Return the summed loss in nats of logits [n,V], one for each pass, and labels [n]."""
        ...


@dataclass(frozen=True)
class RDrop:
    """Cross-entropy of two passes with different dropout, and their divergence (Liang et al. 2021).

    Half of the paper's loss, so that it is on the scale of one pass.
    """

    epsilon: float
    settings: RDropSettings
    vocabulary_size: int
    cutoff_rates = (0.0, 0.0)

    def __call__(self, logits: Sequence[Tensor], labels: Tensor) -> Tensor:
        cross_entropy = sum(
            label_smoothed_cross_entropy(each, labels, self.epsilon, self.vocabulary_size) for each in logits
        )
        first, second = (_log_probs(each, self.vocabulary_size) for each in logits)
        divergence = ((first.exp() - second.exp()) * (first - second)).sum()
        return (cross_entropy + self.settings.weight * divergence / 2) / 2


@dataclass(frozen=True)
class SimCut:
    """Cross-entropy of a full pass, and its divergence from one with words cut off (Gao et al. 2022).

    The gradient flows through both: the paper finds that this matters.
    """

    epsilon: float
    settings: SimCutSettings
    vocabulary_size: int

    @property
    def cutoff_rates(self) -> Sequence[float]:
        return 0.0, self.settings.cutoff

    def __call__(self, logits: Sequence[Tensor], labels: Tensor) -> Tensor:
        cross_entropy = label_smoothed_cross_entropy(logits[0], labels, self.epsilon, self.vocabulary_size)
        full, masked = (_log_probs(each, self.vocabulary_size) for each in logits)
        return cross_entropy + self.settings.weight * (full.exp() * (full - masked)).sum()


_CRITERIA: dict[type[Any], Callable[[float, Any, int], Criterion]] = {
    RDropSettings: RDrop,
    SimCutSettings: SimCut,
    type(None): lambda epsilon, _, vocabulary_size: CrossEntropyCriterion(epsilon, vocabulary_size),
}


def _log_probs(logits: Tensor, vocabulary_size: int) -> Tensor:
    """Return finite log-probabilities [n,V+E]: very small ones of words that a sentence does not have."""
    found = at_least_fp32(logits).log_softmax(-1)
    return found if vocabulary_size == found.size(1) else found.clamp_min(torch.finfo(found.dtype).min)


def alignment_loss(alignment: TokenAlignment, attention: Tensor) -> Tensor:
    """Return the cross-entropy between the links of a batch and attention [B,T,S], in nats (Chen et al. 2016).

    Summed over the target tokens with links; the links of each share its weight of 1.
    """
    linked = attention.flatten(0, 1)[alignment.target_positions, alignment.source_positions]
    return -(alignment.weights * linked.float().clamp_min(_MIN_ATTENTION).log()).sum()


def coverage_loss(attention: Tensor, label_positions: Tensor) -> Tensor:
    """Return Σ min(a, c) of attention a [B,T,S] and the coverage c, the sum of a at earlier labelled positions.

    Summed over the labelled positions, indices into B·T, and over the source (See et al. 2017).
    """
    has_label = torch.zeros_like(attention[:, :, 0], dtype=torch.bool)
    has_label.view(-1).index_fill_(0, label_positions, True)
    attention = attention.float() * has_label.unsqueeze(-1)
    return torch.minimum(attention, attention.cumsum(1) - attention).sum()
