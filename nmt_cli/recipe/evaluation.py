"""The section `evaluation`."""

import re
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from nmt_cli.recipe.section import MAX_COUNT, Conflicts, Count, File, Name, Positive, Section

MetricName = Literal[
    "bleu", "spbleu", "chrf", "chrf++", "ter", "rouge1", "rouge2", "rougeL", "meteor", "exact_match", "wer", "per"
]
ERROR_RATES = ("ter", "wer", "per")
_PLACEHOLDERS = ("{source}", "{hypothesis}", "{reference}")


class ExternalMetric(Section):
    """A program such as COMET that scores translations and prints one number per line; it is run without a shell."""

    command: Annotated[list[str], Field(min_length=1)]
    """Program and arguments. `{hypothesis}`, `{reference}` and `{source}` become files, one sentence per line."""
    timeout: Positive = 3600
    """Maximum run time in seconds."""
    lower_is_better: bool = False
    """Whether the metric is an error rate."""

    @field_validator("command")
    @classmethod
    def check_command(cls, command: list[str]) -> list[str]:
        found = [name for argument in command for name in re.findall(r"\{\w*\}", argument)]
        for name in found:
            if name not in _PLACEHOLDERS:
                raise ValueError(f"unknown placeholder {name}; use {', '.join(_PLACEHOLDERS)}")
        if "{hypothesis}" not in found:
            raise ValueError("has no {hypothesis}, the placeholder for the file of translations")
        if any("\0" in argument for argument in command) or not command[0]:
            raise ValueError("must be a program and its arguments, without zero bytes")
        return command


class CometMetric(Section):
    """A COMET model (Rei et al. 2020) that was downloaded before; nmt downloads nothing."""

    path: File
    """Its checkpoint: a .ckpt file in a folder beside `hparams.yaml`. Reading it can run any code that it contains."""
    python: File | None = None
    """Python of an environment with the package unbabel-comet. Default: that of nmt, with the extra `comet`."""
    batch_size: Count = 16
    """Sentences per batch."""
    gpus: Annotated[int, Field(ge=0, le=1)] = 0
    """Number of GPUs to use."""
    timeout: Positive = 3600
    """Maximum run time in seconds."""


class Evaluation(Section):
    """Scoring of translations."""

    metrics: Annotated[list[MetricName], Field(min_length=1)] | None = None
    """Metrics to compute; docs/evaluating.md describes them and the packages that some need. Default: bleu and chrf++,
    or bleu and chrf for scripts without spaces between words."""
    comet: CometMetric | None = None
    """Also compute COMET."""
    external: dict[Name, ExternalMetric] = {}
    """Further metrics, computed by external programs, by name."""
    bleu_tokenizer: Literal[
        "auto", "13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "flores101", "flores200", "none"
    ] = "auto"
    """Tokenizer of BLEU. auto follows the target language: zh for Chinese; ja-mecab or ko-mecab for Japanese or Korean
    if their packages are installed; char for other scripts without spaces between words, and for Japanese without its
    package; otherwise 13a."""
    ter_tokenizer: Literal["auto", "tercom", "asian", "char"] = "auto"
    """Tokenizer of TER. auto follows the target language: asian (sacreBLEU's `--ter-normalized --ter-asian-support`)
    for Chinese, char for other scripts without spaces between words, else tercom."""
    spbleu_tokenizer: Literal["flores101", "flores200"] = "flores200"
    """SentencePiece model of spBLEU."""
    resamples: Annotated[int, Field(ge=1, le=1_000_000)] | None = 1000
    """Bootstrap resamples for the confidence interval of each score (Koehn 2004); null for no intervals."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 12345
    """Random seed of the resamples; the default is sacreBLEU's."""
    samples: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 10
    """Number of translations shown in the report."""

    def programs(self) -> dict[str, list[str]]:
        """Return the command of each program that scoring runs, by key; COMET's is abbreviated."""
        commands = {f"evaluation.external.{name}": metric.command for name, metric in self.external.items()}
        if self.comet is not None:
            commands["evaluation.comet"] = [str(self.comet.python or "python"), str(self.comet.path)]
        return commands

    def conflicts(self) -> Conflicts:
        if self.comet is not None and "comet" in self.external:
            yield ("external", "comet"), "has the name of evaluation.comet; choose another"
        for name in self.external:
            if name in get_args(MetricName):
                yield ("external", name), "is the name of a built-in metric; choose another"
