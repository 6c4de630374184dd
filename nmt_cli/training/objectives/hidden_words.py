"""What a model reads in place of some true words, so that it leans on none of them: nothing, or its own prediction."""

import torch
from torch import Tensor

from nmt_cli.data.batches import Batch
from nmt_cli.models.contract import TranslationModel
from nmt_cli.recipe.training.regularization import ScheduledSampling

_SCORED_AT_ONCE = 2048
"""Positions whose scores of all words are held at once, when only the best is wanted."""


def words_of_source(batch: Batch, end: int) -> Tensor:
    """Which of [B,S] are words: all but the end token."""
    return batch.source != end


def words_of_target(batch: Batch) -> Tensor:
    """Which of [B,T] are words that the decoder reads: neither the start token nor padding."""
    # Whatever is read but padding has something real to predict after it.
    words = torch.zeros_like(batch.target_in, dtype=torch.bool)
    words.view(-1).index_fill_(0, batch.positions, True)
    words[:, 0] = False
    return words


def hide(tokens: Tensor, words: Tensor, rate: float, unknown: int) -> Tensor:
    """Put `unknown` in the place of each of the `words` among tokens [B,·] with probability `rate`."""
    return tokens.masked_fill(_draw(words, rate), unknown) if rate else tokens


def with_own_words(
    model: TranslationModel, memory: object, target_in: Tensor, words: Tensor, positions: Tensor, share: float
) -> Tensor:
    """Put what the model expects in the place of each of the `words` of target_in [B,T] with probability `share`.

    It expects the best word after the true ones (Duckworth et al. 2019); if that is the end, the true word stays, as
    no search goes on after it. No gradient flows. Positions [n] are those that precede a word or the end, as in Batch.
    """
    with torch.no_grad():
        decoded = model.decode(memory, target_in)
        best = [model.scores(decoded, part).argmax(-1) for part in torch.split(positions, _SCORED_AT_ONCE)]
        # One place later each is read; a place more takes what is expected after the last row.
        expected = target_in.new_zeros(target_in.numel() + 1).index_copy_(0, positions + 1, torch.cat(best))
        expected = expected[:-1].view_as(target_in)
    own = _draw(words, share) & (expected != model.vocabularies.end)
    return torch.where(own, expected, target_in)


def share_of_own_words(settings: ScheduledSampling | None, step: int) -> float:
    """Probability of a word to be the model's own after `step` updates."""
    if settings is None:
        return 0.0
    grown = (step - settings.start) / (settings.full - settings.start)
    return settings.most * min(max(grown, 0.0), 1.0)


def _draw(words: Tensor, rate: float) -> Tensor:
    """Each of the true places of a mask with probability `rate`."""
    return words & (torch.rand(words.shape, device=words.device) < rate)
