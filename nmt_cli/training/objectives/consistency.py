"""What is asked of one or two readings of the same sentences: cross-entropy, R-Drop, SimCut."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nmt_cli.recipe.training.regularization import RDropSettings, SimCutSettings
from nmt_cli.training.objectives.cross_entropy import smoothed_cross_entropy


class Criterion(Protocol):
    """The loss of what one or two readings of a batch say."""

    @property
    def cuts(self) -> Sequence[float]:
        """For each reading, the probability of a word to be hidden from it."""
        ...

    def __call__(self, scores: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Scores [n,V], one for each reading, and labels [n] → the loss in nats, summed."""
        ...


@dataclass(frozen=True)
class OneReading:
    """Label-smoothed cross-entropy."""

    smoothing: float
    cuts = (0.0,)

    def __call__(self, scores: Sequence[Tensor], labels: Tensor) -> Tensor:
        return smoothed_cross_entropy(scores[0], labels, self.smoothing)


@dataclass(frozen=True)
class RDrop:
    """Cross-entropy of two readings that have dropout of their own, and how far they diverge (Liang et al. 2021).

    It is half of the paper's sum: the mean of both readings compares with the cross-entropy of one.
    """

    smoothing: float
    settings: RDropSettings
    cuts = (0.0, 0.0)

    def __call__(self, scores: Sequence[Tensor], labels: Tensor) -> Tensor:
        cross_entropy = sum(smoothed_cross_entropy(each, labels, self.smoothing) for each in scores)
        one, other = map(_log_probabilities, scores)
        both_ways = ((one.exp() - other.exp()) * (one - other)).sum()
        return (cross_entropy + self.settings.weight * both_ways / 2) / 2


@dataclass(frozen=True)
class SimCut:
    """Cross-entropy of a whole reading, and its divergence from one with words cut (Gao et al. 2022).

    The gradient flows through both: the paper finds that this matters.
    """

    smoothing: float
    settings: SimCutSettings

    @property
    def cuts(self) -> Sequence[float]:
        return 0.0, self.settings.cut

    def __call__(self, scores: Sequence[Tensor], labels: Tensor) -> Tensor:
        cross_entropy = smoothed_cross_entropy(scores[0], labels, self.smoothing)
        whole, cut = map(_log_probabilities, scores)
        return cross_entropy + self.settings.weight * (whole.exp() * (whole - cut)).sum()


def _log_probabilities(scores: Tensor) -> Tensor:
    return (scores if scores.dtype == torch.float64 else scores.float()).log_softmax(-1)
