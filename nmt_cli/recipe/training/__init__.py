"""The recipe section `training`."""

from typing import Annotated, Literal

from pydantic import Field

from nmt_cli.recipe.section import Conflicts, Count, CountOrAuto, File, Positive, Rate, Section
from nmt_cli.recipe.training.optimization import (
    AdamWSettings,
    InverseSqrtSettings,
    Optimizer,
    PlateauSettings,
    Schedule,
)
from nmt_cli.recipe.training.regularization import Consistency, GuidedAlignment, ScheduledSampling, WordDropout
from nmt_cli.recipe.training.training_data import Augmentation, Mixing, SubwordSampling


class Limits(Section):
    """Limits of the training, whichever is reached first. Early stopping is separate."""

    updates: Count = 100_000
    """Optimizer updates."""
    epochs: Count | None = None
    """Passes over the training data."""
    minutes: Positive | None = None
    """Time, including validation. The result then depends on the speed of the machine, as does the learning rate."""


class Validation(Section):
    """How often to score the validation sets, and early stopping."""

    every: Count = 1000
    """Updates between validations."""
    metric: Literal["bleu", "chrf", "loss"] = "bleu"
    """Metric of the first validation set that decides which checkpoint is best."""
    patience: Count | None = 10
    """Stop after this many validations without improvement."""


class Checkpoints(Section):
    """Which checkpoints to keep. One is saved at each validation and when a run is stopped."""

    every: Count | None = None
    """Also save after this many updates."""
    keep_last: Count = 1
    """Number of newest checkpoints to keep; a run resumes from the last one."""
    keep_best: Count = 3
    """Number of best checkpoints to keep; their parameters are averaged into the run's model."""


class Logging(Section):
    """How often to report progress."""

    every: Count = 50
    """Updates between reports."""
    tensorboard: bool = False
    """Also write TensorBoard events; needs `pip install 'nmt-cli[tensorboard]'`."""


class Divergence(Section):
    """What to do when a gradient is not finite. Such an update is skipped."""

    max_skipped: Annotated[int, Field(ge=0)] = 3
    """Updates in a row that may be skipped before training rolls back to the last good checkpoint."""
    max_rollbacks: Annotated[int, Field(ge=0)] = 2
    """Rollbacks before training fails."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Factor on the learning rate at each rollback."""


class Parallel(Section):
    """Training on several devices or machines. `nmt train --nproc N`, or torchrun, starts one process per device."""

    type: Literal["ddp", "fsdp"] = "ddp"
    """ddp: each device holds all parameters. fsdp: parameters and optimizer state are sharded (FSDP2)."""
    timeout: Positive = 300
    """Seconds to wait for an answer of another process before giving up."""


class Training(Section):
    """How to train the model."""

    update_tokens: Count = 4096
    """Target tokens per update over all devices; batches are accumulated up to this number."""
    batch_tokens: CountOrAuto = "auto"
    """Maximum padded target tokens per batch and device; auto: as many as fit into memory, or suit a CPU's caches."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of computation; parameters are always kept in fp32."""
    label_smoothing: Rate = 0.1
    """Probability mass spread evenly over the vocabulary (Szegedy et al. 2016)."""
    mixing: Mixing = Mixing()
    augmentation: Augmentation | None = None
    subword_sampling: SubwordSampling | None = None
    consistency: Consistency | None = None
    """A second pass whose output must agree with the first. Included in the training loss, not in validation."""
    word_dropout: WordDropout = WordDropout()
    scheduled_sampling: ScheduledSampling | None = None
    guided_alignment: GuidedAlignment | None = None
    gradient_checkpointing: bool = False
    """Recompute layers in the backward pass, not store activations (Chen et al. 2016): less memory, more time."""
    clip_norm: Positive | None = 1.0
    """Maximum norm of the gradient; longer gradients are scaled down."""
    optimizer: Optimizer = AdamWSettings()
    """Optimizer."""
    schedule: Schedule = InverseSqrtSettings()
    """Learning rate schedule."""
    ema_decay: Rate | None = None
    """Validate and publish an exponential moving average of the parameters with this decay, such as 0.999."""
    init_from: File | None = None
    """Fine-tune this run, checkpoint or model: start from its parameters. `tokenizer.path` takes its tokenizer."""
    freeze: list[str] = []
    """Names or patterns of parameters that are not trained, such as `embeddings.*`."""
    limits: Limits = Limits()
    validation: Validation = Validation()
    checkpoints: Checkpoints = Checkpoints()
    divergence: Divergence = Divergence()
    parallel: Parallel = Parallel()
    logging: Logging = Logging()

    def conflicts(self) -> Conflicts:
        if self.parallel.type == "fsdp" and self.optimizer.type == "adafactor":
            yield ("optimizer.type", "adafactor is not supported with parallel.type fsdp, which shards optimizer state")
        schedule, stop = self.schedule, self.validation.patience
        if isinstance(schedule, PlateauSettings) and stop is not None and schedule.patience >= stop:
            yield (
                "schedule.patience",
                f"{schedule.patience} is not less than validation.patience,"
                f" so that training would stop ({stop}) before the learning rate is reduced",
            )
