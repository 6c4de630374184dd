"""Estimates of the memory and time that a training takes."""

from dataclasses import dataclass

from nmt_cli.recipe.training import Training

_BYTES_PER_FLOAT = 4
_OPERATIONS = 6
"""Floating-point operations per parameter and target token (Kaplan et al. 2020)."""
_PEAK_FRACTION = 0.3
"""Part of the speed of a large matrix product that training reaches; half or twice as much occurs, too."""


@dataclass(frozen=True)
class Estimate:
    """What a training needs."""

    parameters: int
    state_bytes: int
    """Parameters, gradients, optimizer and average."""
    batch_bytes: int
    """Activations of one batch that the backward pass needs, on one device."""
    epoch_seconds: float

    @property
    def bytes(self) -> int:
        return self.state_bytes + self.batch_bytes


def estimate(
    settings: Training, parameters: int, activations_per_token: int, epoch_tokens: float, speed: float
) -> Estimate:
    """Estimate the needs of a training.

    Args:
        settings: Of the training.
        parameters: Number of the model's parameters.
        activations_per_token: See Model.activations_per_token.
        epoch_tokens: Target tokens per epoch.
        speed: Of a large matrix product, in FLOP/s.
    """
    passes = 1 if settings.consistency is None else 2
    seconds = passes * _OPERATIONS * parameters * epoch_tokens / (speed * _PEAK_FRACTION)
    copies = 2 + settings.optimizer.num_states + (settings.ema_decay is not None)
    tokens = settings.update_tokens if settings.batch_tokens == "auto" else settings.batch_tokens
    kept = 0.2 if settings.gradient_checkpointing else 1.0
    bytes_each = 2 if settings.precision == "bf16" else _BYTES_PER_FLOAT
    batch_bytes = round(tokens * activations_per_token * bytes_each * passes * kept)
    return Estimate(parameters, copies * parameters * _BYTES_PER_FLOAT, batch_bytes, seconds)
