"""How much memory and time a training will take, roughly."""

from dataclasses import dataclass

from nmt_cli.recipe.model import RnnSettings, TransformerSettings
from nmt_cli.recipe.training import Training

_FLOAT = 4
"""Bytes."""
_OPERATIONS = 6
"""Floating-point operations for each weight and target token (Kaplan et al. 2020)."""
_SHARE_OF_PEAK = 0.3
"""Of the speed of a large product of matrices that a training reaches: half or twice as much is seen, too."""


@dataclass(frozen=True)
class Estimate:
    """What a training needs."""

    weights: int
    """Numbers that are learned."""
    state_bytes: int
    """Weights, gradients, optimizer and average."""
    batch_bytes: int
    """What is kept of one batch for its gradient, on a device."""
    epoch_seconds: float

    @property
    def bytes(self) -> int:
        return self.state_bytes + self.batch_bytes


def estimate(
    settings: Training, model: TransformerSettings | RnnSettings, weights: int, epoch_tokens: float, speed: float
) -> Estimate:
    """Of a model of so many weights and so many target tokens in an epoch, by the speed of products in FLOP/s."""
    seconds = _OPERATIONS * weights * epoch_tokens / (speed * _SHARE_OF_PEAK)
    if settings.consistency is not None:
        seconds *= 2
    copies = 2 + settings.optimizer.num_states + (settings.ema_decay is not None)
    return Estimate(weights, copies * weights * _FLOAT, _batch_bytes(settings, model), seconds)


def _batch_bytes(settings: Training, model: TransformerSettings | RnnSettings) -> int:
    """Vectors that are kept for each token of a batch: some 14 of the width in each layer, and 3 of its inside."""
    tokens = settings.update_tokens if settings.batch_tokens == "auto" else settings.batch_tokens
    if isinstance(model, RnnSettings):
        numbers = (model.encoder_layers + model.decoder_layers) * 12 * model.width
    else:
        layers = model.encoder_layers + 1.5 * model.decoder_layers  # which attend twice
        numbers = round(layers * (14 * model.width + 3 * model.feed_forward))
    readings = 2 if settings.consistency is not None else 1
    kept = 0.2 if settings.gradient_checkpointing else 1.0
    return round(tokens * numbers * (2 if settings.precision == "bf16" else _FLOAT) * readings * kept)
