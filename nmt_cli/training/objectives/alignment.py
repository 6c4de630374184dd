"""Guided alignment: attention learns where to look from word alignments (Chen et al. 2016)."""

from torch import Tensor

from nmt_cli.data.batches import Alignment

_LEAST = 1e-9
"""Attention below this counts as this, so that a link it has lost sight of has no infinite loss."""


def alignment_loss(alignment: Alignment, attention: Tensor) -> Tensor:
    """Cross-entropy between the links of a batch and attention [B,T,S], in nats, summed over linked target words."""
    linked = attention.flatten(0, 1)[alignment.positions, alignment.sources]
    return -(alignment.weights * linked.float().clamp_min(_LEAST).log()).sum()
