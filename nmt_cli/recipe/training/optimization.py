"""The sections `training.optimizer` and `training.schedule`."""

from typing import Annotated, Literal

from pydantic import Field

from nmt_cli.recipe.section import MOST, Positive, Rate, Section


class Optimizer(Section):
    """How gradients change weights."""

    type: Literal["adamw"] = "adamw"
    """AdamW (Loshchilov & Hutter 2019)."""
    learning_rate: Positive = 1e-3
    """The highest rate, reached at the end of the warm-up."""
    betas: Annotated[list[Rate], Field(min_length=2, max_length=2)] = [0.9, 0.98]
    """Decay of the running means of gradient and squared gradient."""
    epsilon: Positive = 1e-9
    """Added to the root of the mean squared gradient."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Share of each matrix, times the learning rate, that is taken off at each update."""


class Schedule(Section):
    """The learning rate over time."""

    type: Literal["inverse_sqrt", "linear", "cosine"] = "inverse_sqrt"
    """After the warm-up: as one over the square root of the update, or down to zero at limits.updates."""
    warmup: Annotated[int, Field(ge=0, le=MOST)] = 1000
    """Updates over which the rate rises from zero."""
