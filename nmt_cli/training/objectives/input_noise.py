"""Word dropout and scheduled sampling: what the model reads in place of some of the true tokens."""

from typing import Any

import torch
from torch import Tensor

from nmt_cli.data.batches import Batch
from nmt_cli.models.contract import DecoderInput, Model, OutputPositions
from nmt_cli.recipe.training import ScheduledSampling

_POSITIONS_AT_ONCE = 2048
"""Positions whose logits are held at once, when only the best token is wanted."""


def source_token_mask(batch: Batch, eos: int) -> Tensor:
    """Return which of [B,S] are real tokens: all but eos; sources have no padding."""
    return batch.source != eos


def target_token_mask(batch: Batch) -> Tensor:
    """Return which of [B,T] are real tokens that the decoder reads: neither decoder_start, prompt nor padding."""
    # Every input but padding and a prompt has a label. A word follows a position with a label.
    has_label = torch.zeros_like(batch.decoder_input, dtype=torch.bool)
    has_label.view(-1).index_fill_(0, batch.label_positions, True)
    mask = torch.zeros_like(has_label)
    mask[:, 1:] = has_label[:, 1:] & has_label[:, :-1]
    return mask if batch.positions is None else mask & (batch.positions > 0)


def word_dropout(ids: Tensor, token_mask: Tensor, rate: float, unk: int) -> Tensor:
    """Replace each token of ids [B,·] by unk with probability `rate`, where the mask is true."""
    return ids.masked_fill(_draw(token_mask, rate), unk) if rate else ids


def scheduled_sampling(
    model: Model, encoder_output: Any, ids: Tensor, token_mask: Tensor, positions: Tensor, rate: float
) -> Tensor:
    """Replace each token of decoder input ids [B,T] by the model's prediction with probability `rate`.

    The prediction is the best token after the true ones (Duckworth et al. 2019); if that is eos, the true token stays,
    as no search continues after it. No gradient flows.

    Args:
        model: Makes the predictions.
        encoder_output: Of `model.encode`.
        ids: [B,T]
        token_mask: [B,T], which tokens may be replaced.
        positions: [n] in B·T, those with a label, as in Batch.
        rate: Probability.
    """
    with torch.no_grad():
        output = model.decode(encoder_output, DecoderInput(ids))
        parts = OutputPositions.from_index(positions, ids.size(1)).split(_POSITIONS_AT_ONCE)
        best = [model.logits(output, part).argmax(-1) for part in parts]
        # Shifted right, since a prediction is the next input; the extra element takes that of the last position.
        predicted = ids.new_zeros(ids.numel() + 1).index_copy_(0, positions + 1, torch.cat(best))
        predicted = predicted[:-1].view_as(ids)
    is_replaced = _draw(token_mask, rate) & (predicted != model.vocabulary.special_tokens.eos)
    return torch.where(is_replaced, predicted, ids)


def sampling_rate(settings: ScheduledSampling | None, num_updates: int) -> float:
    """Return the probability of scheduled sampling after a number of updates."""
    if settings is None:
        return 0.0
    fraction = (num_updates - settings.start) / (settings.end - settings.start)
    return settings.max_rate * min(max(fraction, 0.0), 1.0)


def _draw(mask: Tensor, rate: float) -> Tensor:
    """Draw each true element of a mask with probability `rate`."""
    return mask & (torch.rand(mask.shape, device=mask.device) < rate)
