"""The sections `training.optimizer` and `training.schedule`: one class for each type."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, Tag, model_validator

from nmt_cli.recipe.section import MAX_COUNT, Count, Positive, Rate, Section, discriminator


class OptimizerSettings(Section):
    """What every optimizer can be told."""

    learning_rate: Positive = 1e-3
    """The highest rate, reached at the end of the warm-up."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Share of each matrix, times the learning rate, that is taken off at each update."""


class AdamTerms(OptimizerSettings):
    """What an optimizer with Adam in it can be told besides."""

    betas: Annotated[list[Rate], Field(min_length=2, max_length=2)] = [0.9, 0.98]
    """Decay of Adam's running means of gradient and squared gradient."""
    epsilon: Positive = 1e-9
    """Added to the root of Adam's mean squared gradient."""


class AdamWSettings(AdamTerms):
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter 2019)."""

    type: Literal["adamw"] = "adamw"
    """How gradients change weights."""


class AdamSettings(AdamTerms):
    """Adam as it was first (Kingma & Ba 2015)."""

    type: Literal["adam"]
    """How gradients change weights."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Share of each matrix that is added to its gradient (L2 regularisation)."""


class SgdSettings(OptimizerSettings):
    """Stochastic gradient descent."""

    type: Literal["sgd"]
    """How gradients change weights."""
    learning_rate: Positive = 0.1
    """The highest rate, reached at the end of the warm-up."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Share of each matrix that is added to its gradient (L2 regularisation)."""
    momentum: Rate = 0.9
    """Share of the last update's direction that is kept."""
    nesterov: bool = False
    """Look ahead along that direction (Sutskever et al. 2013)."""

    @model_validator(mode="after")
    def check_nesterov(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov: needs a momentum, but momentum is 0")
        return self


class AdafactorSettings(OptimizerSettings):
    """Adam with little memory: of a matrix, it remembers rows and columns (Shazeer & Stern 2018)."""

    type: Literal["adafactor"]
    """How gradients change weights."""
    learning_rate: Positive = 1e-2
    """The highest rate, relative to the size of the weights; never above 1/√update."""


class MuonSettings(AdamTerms):
    """Orthogonal updates of the matrices inside the model (Jordan et al. 2024; Liu et al. 2025), AdamW for the rest."""

    type: Literal["muon"]
    """How gradients change weights."""
    momentum: Rate = 0.95
    """Decay of the running mean of a matrix's gradient."""
    nesterov: bool = True
    """Count the newest gradient once more."""


Optimizer = Annotated[
    Annotated[AdamWSettings, Tag("adamw")]
    | Annotated[AdamSettings, Tag("adam")]
    | Annotated[SgdSettings, Tag("sgd")]
    | Annotated[AdafactorSettings, Tag("adafactor")]
    | Annotated[MuonSettings, Tag("muon")],
    discriminator("type", "adamw"),
]


class ScheduleSettings(Section):
    """What every schedule can be told."""

    warmup: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 1000
    """Updates over which the rate rises from zero."""


class InverseSqrtSettings(ScheduleSettings):
    """After the warm-up, the rate falls as one over the square root of the update."""

    type: Literal["inverse_sqrt"] = "inverse_sqrt"
    """How the rate goes on after the warm-up."""


class NoamSettings(ScheduleSettings):
    """As inverse_sqrt, with a peak of learning_rate / √(width · warmup) (Vaswani et al. 2017): 1 or 2 is usual."""

    type: Literal["noam"]
    """How the rate goes on after the warm-up."""
    warmup: Count = 4000
    """Updates over which the rate rises from zero."""


class LinearSettings(ScheduleSettings):
    """After the warm-up, the rate falls in a straight line to zero at the end of training."""

    type: Literal["linear"]
    """How the rate goes on after the warm-up."""


class CosineSettings(ScheduleSettings):
    """After the warm-up, the rate falls along half a wave to zero at the end (Loshchilov & Hutter 2017)."""

    type: Literal["cosine"]
    """How the rate goes on after the warm-up."""


class WsdSettings(ScheduleSettings):
    """Warm-up, stable, decay: the rate stays, and falls to zero at the very end (Hägele et al. 2024)."""

    type: Literal["wsd"]
    """How the rate goes on after the warm-up."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Last share of the training over which the rate falls, in a straight line."""


class PlateauSettings(ScheduleSettings):
    """After the warm-up, the rate stays until validations get no better."""

    type: Literal["plateau"]
    """How the rate goes on after the warm-up."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """What the rate is multiplied by."""
    patience: Count = 3
    """Validations without a better one, each time, before it is."""


Schedule = Annotated[
    Annotated[InverseSqrtSettings, Tag("inverse_sqrt")]
    | Annotated[NoamSettings, Tag("noam")]
    | Annotated[LinearSettings, Tag("linear")]
    | Annotated[CosineSettings, Tag("cosine")]
    | Annotated[WsdSettings, Tag("wsd")]
    | Annotated[PlateauSettings, Tag("plateau")],
    discriminator("type", "inverse_sqrt"),
]


def peak_rate(rate: float, schedule: Schedule, width: int) -> float:
    """The highest learning rate of a schedule, which noam derives from the model's width and the warm-up."""
    return rate / math.sqrt(width * schedule.warmup) if isinstance(schedule, NoamSettings) else rate
