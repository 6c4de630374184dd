"""Cross-entropy with all that a recipe adds to it while training."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nmt_cli.data.batches import Batch
from nmt_cli.models.contract import Decoded, Source, TranslationModel
from nmt_cli.recipe.training import Training
from nmt_cli.recipe.training.regularization import RDropSettings
from nmt_cli.training.objectives.alignment import alignment_loss
from nmt_cli.training.objectives.chunked import loss_in_chunks
from nmt_cli.training.objectives.consistency import Criterion, OneReading, RDrop, SimCut
from nmt_cli.training.objectives.cross_entropy import CrossEntropy
from nmt_cli.training.objectives.hidden_words import (
    hide,
    share_of_own_words,
    with_own_words,
    words_of_source,
    words_of_target,
)


class Regularized(CrossEntropy):
    """A criterion over one or two readings of each batch, in which some words are hidden or the model's own.

    Two readings are one pass over twice the sentences; dropout, hidden words and own words are drawn anew for each. In
    evaluation it is plain cross-entropy.
    """

    def __init__(self, model: TranslationModel, settings: Training, unknown: int) -> None:
        super().__init__(model, settings.label_smoothing)
        self.criterion = _criterion(settings)
        self.word_dropout = settings.word_dropout
        self.sampling = settings.scheduled_sampling
        self.alignment_weight = settings.guided_alignment.weight if settings.guided_alignment else 0.0
        self.unknown = unknown

    def forward(self, batch: Batch) -> tuple[Tensor, int]:
        if not self.training:
            return super().forward(batch)
        decoded, readings = self._decode(batch), len(self.criterion.cuts)
        loss = loss_in_chunks(self.model, _apart(decoded, readings), batch.positions, batch.labels, self.criterion)
        if self.alignment_weight and batch.alignment is not None and decoded.attention is not None:
            each = [alignment_loss(batch.alignment, attention) for attention in decoded.attention.chunk(readings)]
            loss = loss + self.alignment_weight * torch.stack(each).mean()
        return loss, batch.target_tokens

    def _decode(self, batch: Batch) -> Decoded:
        """All readings of a batch, one below the other."""
        model, readings = self.model, len(self.criterion.cuts)
        source_words, words = words_of_source(batch, model.vocabularies.end), words_of_target(batch)
        source = self._hide([batch.source] * readings, source_words, self.word_dropout.source)
        columns = {name: column.repeat(readings, 1, 1) for name, column in batch.source_columns.items()}
        memory = model.encode(Source(source, factors=columns.get("factors")))
        target_in = batch.target_in.repeat(readings, 1)
        if (share := share_of_own_words(self.sampling, self.step)) > 0:
            positions = torch.cat([batch.positions + place * batch.target_in.numel() for place in range(readings)])
            target_in = with_own_words(model, memory, target_in, words.repeat(readings, 1), positions, share)
        target_in = self._hide(target_in.chunk(readings), words, self.word_dropout.target)
        return model.decode(memory, target_in, attention=self.alignment_weight > 0 and batch.alignment is not None)

    def _hide(self, readings: Sequence[Tensor], words: Tensor, rate: float) -> Tensor:
        """Hide words from each reading [B,·], at the rate of word dropout and at its own."""
        return torch.cat(
            [
                hide(tokens, words, 1 - (1 - rate) * (1 - cut), self.unknown)
                for tokens, cut in zip(readings, self.criterion.cuts, strict=True)
            ]
        )


def _criterion(settings: Training) -> Criterion:
    smoothing, consistency = settings.label_smoothing, settings.consistency
    if consistency is None:
        return OneReading(smoothing)
    return RDrop(smoothing, consistency) if isinstance(consistency, RDropSettings) else SimCut(smoothing, consistency)


def _apart(decoded: Decoded, readings: int) -> list[Decoded]:
    """What the decoder says at each reading."""
    if decoded.attention is None:
        return [Decoded(vectors) for vectors in decoded.vectors.chunk(readings)]
    both = zip(decoded.vectors.chunk(readings), decoded.attention.chunk(readings), strict=True)
    return [Decoded(vectors, attention) for vectors, attention in both]
