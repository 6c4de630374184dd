"""The sections `training.optimizer`, `training.schedule` and `training.lora`."""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from nmt_cli.recipe.section import MAX_COUNT, Conflicts, Count, Positive, Rate, Section, default_discriminator


class OptimizerSettings(Section):
    """Settings of every optimizer."""

    num_states: ClassVar[int] = 2
    """Upper bound of the numbers of optimizer state per parameter, to estimate memory."""
    lr_sets_step_size: ClassVar[bool] = True
    """Whether the size of a step follows from the learning rate alone, so that one range suits models of all sizes."""

    learning_rate: Positive = 1e-3
    """Highest learning rate, reached at the end of the warm-up."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Fraction of each matrix, times the learning rate, subtracted at each update."""


class AdamBaseSettings(OptimizerSettings):
    """Settings of optimizers that contain Adam."""

    betas: Annotated[list[Rate], Field(min_length=2, max_length=2)] = [0.9, 0.98]
    """Decay rates of Adam's moving averages of gradient and squared gradient."""
    epsilon: Positive = 1e-9
    """Added to the square root of Adam's average squared gradient."""


class AdamWSettings(AdamBaseSettings):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    type: Literal["adamw"] = "adamw"
    """Optimizer."""


class AdamSettings(AdamBaseSettings):
    """Original Adam (Kingma & Ba 2015)."""

    type: Literal["adam"]
    """Optimizer."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Fraction of each matrix added to its gradient (L2 regularisation)."""


class SgdSettings(OptimizerSettings):
    """Stochastic gradient descent."""

    num_states: ClassVar[int] = 1
    lr_sets_step_size: ClassVar[bool] = False

    type: Literal["sgd"]
    """Optimizer."""
    learning_rate: Positive = 0.1
    """Highest learning rate, reached at the end of the warm-up."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Fraction of each matrix added to its gradient (L2 regularisation)."""
    momentum: Rate = 0.9
    """Fraction of the previous update's direction that is kept."""
    nesterov: bool = False
    """Use Nesterov momentum (Sutskever et al. 2013)."""

    def conflicts(self) -> Conflicts:
        if self.nesterov and not self.momentum:
            yield "nesterov", "requires a momentum above 0"


class AdafactorSettings(OptimizerSettings):
    """Adam with less memory: keeps one average per row and column of a matrix (Shazeer & Stern 2018)."""

    num_states: ClassVar[int] = 0
    lr_sets_step_size: ClassVar[bool] = False

    type: Literal["adafactor"]
    """Optimizer."""
    learning_rate: Positive = 1e-2
    """Highest learning rate, relative to the size of the parameters; never above 1/√update."""


class MuonSettings(AdamBaseSettings):
    """Orthogonalised updates of inner matrices (Jordan et al. 2024; Liu et al. 2025), AdamW for the rest."""

    type: Literal["muon"]
    """Optimizer."""
    learning_rate: Positive = 4e-3
    """Highest learning rate, reached at the end of the warm-up."""
    momentum: Rate = 0.95
    """Decay rate of the moving average of a matrix's gradient."""
    nesterov: bool = True
    """Use Nesterov momentum."""


Optimizer = Annotated[
    AdamWSettings | AdamSettings | SgdSettings | AdafactorSettings | MuonSettings,
    Field(discriminator="type"),
    default_discriminator("type", "adamw"),
]


class ScheduleSettings(Section):
    """Settings of every schedule."""

    warmup: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 1000
    """Updates over which the learning rate rises linearly from zero."""

    def peak_learning_rate(self, rate: float, width: int) -> float:
        """Return the highest learning rate, given that of the recipe and the width of the model."""
        return rate


class InverseSqrtSettings(ScheduleSettings):
    """After the warm-up, decay with the inverse square root of the update."""

    type: Literal["inverse_sqrt"] = "inverse_sqrt"
    """Shape of the decay after the warm-up."""


class NoamSettings(ScheduleSettings):
    """Like inverse_sqrt, with a peak of learning_rate / √(width · warmup) (Vaswani et al. 2017); 1 or 2 is usual."""

    type: Literal["noam"]
    """Shape of the decay after the warm-up."""
    warmup: Count = 4000
    """Updates over which the learning rate rises linearly from zero."""

    def peak_learning_rate(self, rate: float, width: int) -> float:
        return rate / math.sqrt(width * self.warmup)


class LinearSettings(ScheduleSettings):
    """After the warm-up, decay linearly to 1 % of the peak at the end of training."""

    type: Literal["linear"]
    """Shape of the decay after the warm-up."""


class CosineSettings(ScheduleSettings):
    """After the warm-up, decay along a half cosine to 1 % of the peak at the end of training (Loshchilov & Hutter
    2017)."""

    type: Literal["cosine"]
    """Shape of the decay after the warm-up."""


class WsdSettings(ScheduleSettings):
    """Warm-up, stable, decay: constant, then a linear decay to 1 % of the peak at the end of training (Hägele et al.
    2024)."""

    type: Literal["wsd"]
    """Shape of the decay after the warm-up."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Fraction of the training, at its end, over which the learning rate decays."""


class PlateauSettings(ScheduleSettings):
    """After the warm-up, constant until validation scores stop improving."""

    type: Literal["plateau"]
    """Shape of the decay after the warm-up."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Factor on the learning rate."""
    patience: Count = 3
    """Validations without improvement before the factor is applied, each time."""


Schedule = Annotated[
    InverseSqrtSettings | NoamSettings | LinearSettings | CosineSettings | WsdSettings | PlateauSettings,
    Field(discriminator="type"),
    default_discriminator("type", "inverse_sqrt"),
]


Pattern = Annotated[str, Field(min_length=1)]
"""A parameter name, or a glob pattern of names."""


class Lora(Section):
    """Low-rank adaptation (Hu et al. 2022): train only a product of two small matrices added to each adapted matrix."""

    rank: Annotated[int, Field(ge=1, le=4096)] = 8
    """Rank of each product."""
    alpha: Positive = 16.0
    """The products are multiplied by alpha / rank."""
    targets: Annotated[list[Pattern], Field(min_length=1)] | None = None
    """Names or patterns of the linear layers to adapt, such as `*attention*`. Default: all but the output layer."""
    also_train: list[Pattern] = []
    """Names or patterns of parameters to train in full as well, such as `embeddings.*` for new vocabulary entries."""
