"""Label-smoothed cross-entropy."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from nmt_cli.data.batches import Batch
from nmt_cli.models.contract import Source, TranslationModel


class CrossEntropy(nn.Module):
    """Label-smoothed cross-entropy (Szegedy et al. 2016) in nats, summed over the real target positions."""

    def __init__(self, model: TranslationModel, label_smoothing: float) -> None:
        super().__init__()
        self.model = model
        self.label_smoothing = label_smoothing

    def forward(self, batch: Batch) -> tuple[Tensor, int]:
        """The summed loss of a batch, and how many target tokens it sums over."""
        decoded = self.model.decode(self.model.encode(Source(batch.source)), batch.target_in)
        scores = self.model.scores(decoded, batch.positions)
        smoothing = self.label_smoothing if self.training else 0.0
        loss = functional.cross_entropy(
            scores.to(torch.float32), batch.labels, reduction="sum", label_smoothing=smoothing
        )
        return loss, batch.target_tokens
