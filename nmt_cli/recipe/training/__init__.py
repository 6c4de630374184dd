"""The section `training`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nmt_cli.recipe.section import Count, CountOrAuto, File, Positive, Rate, Section
from nmt_cli.recipe.training.mixing import Augmentation, Mixing
from nmt_cli.recipe.training.optimization import (
    AdamWSettings,
    InverseSqrtSettings,
    Optimizer,
    PlateauSettings,
    Schedule,
)
from nmt_cli.recipe.training.regularization import Consistency, GuidedAlignment, ScheduledSampling, WordDropout
from nmt_cli.recipe.training.subword_sampling import SubwordSampling


class Limits(Section):
    """When training ends, whichever comes first; early stopping apart."""

    updates: Count = 100_000
    """Steps of the optimizer."""
    epochs: Count | None = None
    """Passes over the training data."""
    minutes: Positive | None = None
    """Time, validations included. Such a run depends on how fast the machine is, and so does its learning rate."""


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
    tensorboard: bool = False
    """Write all numbers for TensorBoard, too; needs `pip install 'nmt-cli[tensorboard]'`."""


class Divergence(Section):
    """What to do when a loss or gradient is no longer a number; such an update is never made."""

    skips: Annotated[int, Field(ge=0)] = 3
    """Updates in a row that may be skipped."""
    returns: Annotated[int, Field(ge=0)] = 2
    """How often to go back, then, to the last good checkpoint, before giving up."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """What the learning rate is multiplied by at each return."""


class Parallel(Section):
    """Many devices and machines; nmt train --nproc N, or torchrun, starts a process for each device."""

    type: Literal["ddp", "fsdp"] = "ddp"
    """Each device holds all weights (DDP), or a share of them and of the optimizer (FSDP2), for models too large."""
    timeout: Positive = 300
    """Seconds after which a process that does not answer is given up."""


class Training(Section):
    """From prepared data to weights."""

    update_tokens: Count = 4096
    """Target tokens of one update, all devices together; batches are accumulated until there are as many."""
    batch_tokens: CountOrAuto = "auto"
    """Padded target tokens of one forward pass on one device; auto finds what its memory holds, or its caches like."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the arithmetic; weights are always kept in fp32."""
    label_smoothing: Rate = 0.1
    """Probability spread evenly over the vocabulary (Szegedy et al. 2016)."""
    mixing: Mixing = Mixing()
    augmentation: Augmentation | None = None
    subword_sampling: SubwordSampling | None = None
    consistency: Consistency | None = None
    """A second pass that must agree with the first; the training loss then tells both together, validation does not."""
    word_dropout: WordDropout = WordDropout()
    scheduled_sampling: ScheduledSampling | None = None
    guided_alignment: GuidedAlignment | None = None
    gradient_checkpointing: bool = False
    """Compute each layer again for its gradient instead of keeping it (Chen et al. 2016): less memory, more time."""
    clip_norm: Positive | None = 1.0
    """Largest norm of an update's gradient; longer ones are scaled down."""
    optimizer: Optimizer = AdamWSettings()
    """How gradients change weights."""
    schedule: Schedule = InverseSqrtSettings()
    """The learning rate over time."""
    ema_decay: Rate | None = None
    """Validate and publish a running mean of the weights with this decay (Polyak & Juditsky 1992), such as 0.999."""
    start_from: File | None = None
    """A run, checkpoint or model whose weights are the first; its tokenizer comes by `tokenizer.take_from`."""
    freeze: list[str] = []
    """Weights that stay as they are, by name: `embeddings.*` are all that begin so."""
    limits: Limits = Limits()
    validation: Validation = Validation()
    checkpoints: Checkpoints = Checkpoints()
    divergence: Divergence = Divergence()
    parallel: Parallel = Parallel()
    logging: Logging = Logging()

    @model_validator(mode="after")
    def check_sharding(self) -> Self:
        if self.parallel.type == "fsdp" and self.optimizer.type == "adafactor":
            raise ValueError(
                "optimizer.type: adafactor does not go with parallel.type fsdp, which shares out its memory"
            )
        return self

    @model_validator(mode="after")
    def check_patience(self) -> Self:
        schedule, stop = self.schedule, self.validation.patience
        if isinstance(schedule, PlateauSettings) and stop is not None and schedule.patience >= stop:
            raise ValueError(
                f"schedule.patience: {schedule.patience} is not less than validation.patience,"
                f" so that training would stop ({stop}) before the rate falls"
            )
        return self
