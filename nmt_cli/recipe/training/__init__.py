"""The section `training`, except optimizer, schedule and adapters."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter

from nmt_cli.recipe.evaluation import ERROR_RATES, MetricName
from nmt_cli.recipe.logs import Logging
from nmt_cli.recipe.optimization import (
    AdamWSettings,
    InverseSqrtSettings,
    Lora,
    Optimizer,
    Pattern,
    PlateauSettings,
    Schedule,
)
from nmt_cli.recipe.section import Conflicts, Count, CountOrAuto, File, Name, Positive, Rate, Section
from nmt_cli.recipe.training.objectives import Consistency as Consistency
from nmt_cli.recipe.training.objectives import CoverageLoss as CoverageLoss
from nmt_cli.recipe.training.objectives import Glancing as Glancing
from nmt_cli.recipe.training.objectives import GuidedAlignment as GuidedAlignment
from nmt_cli.recipe.training.objectives import Probability as Probability
from nmt_cli.recipe.training.objectives import RDropSettings as RDropSettings
from nmt_cli.recipe.training.objectives import ScheduledSampling as ScheduledSampling
from nmt_cli.recipe.training.objectives import SimCutSettings as SimCutSettings
from nmt_cli.recipe.training.objectives import Weight
from nmt_cli.recipe.training.objectives import WordDropout as WordDropout


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
    metric: Literal["loss", MetricName] = "bleu"
    """Metric that decides which checkpoint is best: loss, or a name of evaluation.metrics. The default metrics of
    evaluation.metrics are always computed."""
    sets: Literal["first", "all"] = "first"
    """Validation sets whose score decides: the first one, or the mean of all."""
    patience: Count | None = 10
    """Stop after this many validations without improvement, not counting those during the warm-up."""

    @property
    def lower_is_better(self) -> bool:
        """Whether the metric is the loss or an error rate."""
        return self.metric == "loss" or self.metric in ERROR_RATES


class Checkpoints(Section):
    """Which checkpoints to keep. One is saved at each validation and when a run is stopped."""

    every: Count | None = None
    """Also save after this many updates."""
    keep_last: Count = 2
    """Number of newest checkpoints to keep; a run resumes from the last one, or the one before if that is damaged."""
    keep_best: Count = 3
    """Number of best checkpoints to keep. The average of their parameters, validated once, or the best checkpoint if it
    scores higher, becomes the run's model."""


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
    """Seconds to wait for a reply from another process before giving up."""


class Stage(Section):
    """A part of training with its own proportions."""

    weights: Annotated[dict[Name, Positive], Field(min_length=1)]
    """Proportions of the corpora, such as `{backtranslated: 7, clean: 3}`; corpora not named are not used."""
    epochs: dict[Name, Positive] = {}
    """The stage ends after this many passes over one corpus: `{backtranslated: 2}`. The last stage never ends."""

    def conflicts(self) -> Conflicts:
        if len(self.epochs) > 1:
            yield "epochs", "must name one corpus"
        for name in self.epochs.keys() - self.weights.keys():
            yield ("epochs", name), "has no weight in this stage"


class Mixing(Section):
    """How training corpora are mixed: by size, weight and temperature, or in stages."""

    temperature: Annotated[float, Field(ge=1)] = 1.0
    """Above 1, small corpora are sampled more often: proportions are (weight · size)^(1/temperature). With equal
    weights, an epoch has each pair of the largest corpus once."""
    stages: list[Stage] = []
    """Successive stages. They replace the weights of the corpora; temperature must be 1."""

    def conflicts(self) -> Conflicts:
        for number, stage in enumerate(self.stages, 1):
            if bool(stage.epochs) == (number == len(self.stages)):
                problem = "the last stage never ends" if stage.epochs else "is missing; every stage but the last ends"
                yield ("stages", number - 1, "epochs"), problem
        if self.stages and self.temperature != 1:
            yield "temperature", "cannot be combined with stages, which set the proportions themselves"


class Augmentation(Section):
    """Change training pairs at random, differently in each epoch, for robustness to noisy text."""

    upper_case: Probability = 0.0
    """Probability that a pair is written in capitals."""
    title_case: Probability = 0.0
    """Probability that each word of a pair begins with a capital."""
    no_final_punctuation: Probability = 0.0
    """Probability that a pair loses the punctuation at its end."""
    typos: Probability = 0.0
    """Probability that a source gets a typo: a letter inserted, deleted or replaced, or two swapped."""
    noise: Probability = 0.0
    """Probability that a word of a source is deleted, repeated or swapped with the next."""


class SubwordSampling(Section):
    """Split text into subwords at random, differently in each epoch: unigram (Kudo 2018) or BPE-dropout
    (Provilkov et al. 2020)."""

    alpha: Annotated[float, Field(gt=0, le=1)]
    """bpe: fraction of merges left out (0.1 is common); unigram: exponent of a segmentation's probability, smaller is
    more random (0.3 is common)."""
    source: bool = True
    """Sample the sources."""
    target: bool = True
    """Sample the targets."""

    def conflicts(self) -> Conflicts:
        if not (self.source or self.target):
            yield (), "must sample source or target; leave the section out to sample neither"


class Training(Section):
    """How to train the model."""

    update_tokens: Count = 4096
    """Target tokens per update over all devices, met within 10 %; a single longer pair is an update of its own."""
    batch_tokens: CountOrAuto = "auto"
    """Maximum padded target tokens that a device processes at once; auto: as many as fit into memory, on a CPU at
    most 2,048 per thread. It changes speed and memory, not the pairs of an update."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of computation; parameters are always kept in fp32."""
    label_smoothing: Rate = 0.1
    """Probability mass spread evenly over the vocabulary (Szegedy et al. 2016)."""
    source_loss: Weight = 0.0
    """Weight of the loss of source tokens, for a decoder-only translator with `source_attention: causal`, which then
    learns to predict them, too. Validation does not count it."""
    mixing: Mixing = Mixing()
    augmentation: Augmentation | None = None
    subword_sampling: SubwordSampling | None = None
    consistency: Consistency | None = None
    """A second pass whose output must agree with the first. Included in the training loss, not in validation."""
    word_dropout: WordDropout = WordDropout()
    scheduled_sampling: ScheduledSampling | None = None
    guided_alignment: GuidedAlignment | None = None
    coverage_loss: CoverageLoss | None = None
    glancing: Glancing | None = None
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
    start_from: File | None = None
    """Fine-tune this run, checkpoint or model: take its parameters, architecture and tokenizer."""
    freeze: list[Pattern] = []
    """Names or patterns of parameters that are not trained; `encoder.*` and `decoder.*` include `encoder_norm` etc."""
    lora: Lora | None = None
    learning_rate_factors: dict[Pattern, Positive] = {}
    """Factors on the learning rate by pattern of names, such as `{"embeddings.*": 0.1}`; the first match applies."""
    limits: Limits = Limits()
    validation: Validation = Validation()
    checkpoints: Checkpoints = Checkpoints()
    divergence: Divergence = Divergence()
    parallel: Parallel = Parallel()
    logging: Logging = Logging()

    def with_value(self, key: str, value: Any) -> Self:
        """Return the section with another value; another type of schedule keeps the settings that are given."""
        if key != "schedule.type":
            return super().with_value(key, value)
        settings = {**self.schedule.model_dump(exclude_unset=True), "type": value}
        return super().with_value("schedule", TypeAdapter[Schedule](Schedule).validate_python(settings))

    def conflicts(self) -> Conflicts:
        if self.lora is not None and self.start_from is None:
            yield "lora", "requires start_from, the model to adapt"
        if self.lora is not None and self.freeze:
            yield "freeze", "cannot be combined with lora, which trains adapters only; choose layers by lora.targets"
        if self.parallel.type == "fsdp" and self.optimizer.type == "adafactor":
            yield ("optimizer.type", "adafactor is not supported with parallel.type fsdp, which shards optimizer state")
        schedule, stop = self.schedule, self.validation.patience
        are_given = self.gives("schedule.patience") and self.gives("validation.patience")
        if isinstance(schedule, PlateauSettings) and stop is not None and schedule.patience >= stop and are_given:
            yield (
                "schedule.patience",
                f"{schedule.patience} is not less than validation.patience,"
                f" so that training would stop ({stop}) before the learning rate is reduced",
            )
