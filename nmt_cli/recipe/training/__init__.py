"""The section `training`."""

from typing import Literal

from nmt_cli.recipe.section import Count, Positive, Rate, Section
from nmt_cli.recipe.training.optimization import Optimizer, Schedule
from nmt_cli.recipe.training.subword_sampling import SubwordSampling


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
    subword_sampling: SubwordSampling | None = None
    clip_norm: Positive | None = 1.0
    """Largest norm of an update's gradient; longer ones are scaled down."""
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    limits: Limits = Limits()
    validation: Validation = Validation()
    checkpoints: Checkpoints = Checkpoints()
    logging: Logging = Logging()
