"""The section `training`."""

from typing import Annotated, Literal

from pydantic import Field

from nmt_cli.recipe.section import MOST, Count, Rate, Section

Positive = Annotated[float, Field(gt=0)]


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


class Limits(Section):
    """When training ends, whichever comes first; early stopping apart."""

    updates: Count = 100_000
    """Steps of the optimizer."""
    epochs: Count | None = None
    """Passes over the training data."""


class Validation(Section):
    """How often to translate the validation sets, and what the score decides."""

    every: Count = 1000
    """Updates between validations."""
    metric: Literal["bleu", "chrf", "loss"] = "bleu"
    """What decides which checkpoint is best."""
    patience: Count | None = 10
    """Stop after this many validations without a better one."""


class Checkpoints(Section):
    """What is kept. A checkpoint is saved at each validation and when a run is stopped."""

    every: Count | None = None
    """Save as often as this, too, in updates."""
    keep_last: Count = 1
    """The newest ones; a run resumes from the last."""
    keep_best: Count = 3
    """The weights of these are averaged into the run's model."""


class Logging(Section):
    """How often to report."""

    every: Count = 50
    """Updates between reports."""


class Training(Section):
    """From prepared data to weights."""

    update_tokens: Count = 4096
    """Target tokens of one update, all devices together; batches are accumulated until there are as many."""
    batch_tokens: Count = 4096
    """Padded target tokens of one forward pass on one device: what memory allows."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the arithmetic; weights are always kept in fp32."""
    label_smoothing: Rate = 0.1
    """Probability spread evenly over the vocabulary (Szegedy et al. 2016)."""
    clip_norm: Positive | None = 1.0
    """Largest norm of an update's gradient; longer ones are scaled down."""
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    limits: Limits = Limits()
    validation: Validation = Validation()
    checkpoints: Checkpoints = Checkpoints()
    logging: Logging = Logging()
