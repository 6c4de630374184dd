"""The section `evaluation`."""

import re
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from nmt_cli.recipe.section import MAX_COUNT, Name, Positive, Section

MetricName = Literal[
    "bleu", "spbleu", "chrf", "chrf++", "ter", "rouge1", "rouge2", "rougeL", "meteor", "exact_match", "wer", "per"
]
_PLACEHOLDERS = ("{source}", "{hypothesis}", "{reference}")


class ExternalMetric(Section):
    """A program that scores translations, such as COMET's; started without a shell, prints a number for each line."""

    command: Annotated[list[str], Field(min_length=1)]
    """Program and arguments; `{hypothesis}`, `{reference}` and `{source}` become names of files, a sentence a line."""
    timeout: Positive = 3600
    """Seconds it may take."""
    lower_is_better: bool = False
    """Whether it measures errors."""

    @field_validator("command")
    @classmethod
    def check_command(cls, command: list[str]) -> list[str]:
        found = [name for argument in command for name in re.findall(r"\{\w*\}", argument)]
        for name in found:
            if name not in _PLACEHOLDERS:
                raise ValueError(f"{name} stands for no file; there are {', '.join(_PLACEHOLDERS)}")
        if "{hypothesis}" not in found:
            raise ValueError("nothing in it is {hypothesis}, the file of translations")
        if any("\0" in argument for argument in command) or not command[0]:
            raise ValueError("must be a program and its arguments, without zero bytes")
        return command


class Evaluation(Section):
    """How translations are scored."""

    metrics: Annotated[list[MetricName], Field(min_length=1)] = ["bleu", "chrf"]
    """Corpus scores; docs/evaluating.md tells what each is, and which need more than nmt itself."""
    external: dict[Name, ExternalMetric] = {}
    """Further metrics by programs of their own, by name."""
    bleu_tokenizer: Literal["13a", "intl", "zh", "char", "none"] = "13a"
    """How BLEU splits words: 13a for most languages, zh for Chinese."""
    spbleu_tokenizer: Literal["flores101", "flores200"] = "flores200"
    """Whose subwords spBLEU counts."""
    resamples: Annotated[int, Field(ge=1, le=1_000_000)] | None = 1000
    """Draws of as many sentences with replacement for the interval of each score (Koehn 2004)."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 12345
    """The same seed draws the same sentences; the default is sacreBLEU's."""
    samples: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 10
    """Translations shown in the report."""

    @model_validator(mode="after")
    def check_names(self) -> Self:
        for name in self.external:
            if name in get_args(MetricName):
                raise ValueError(f"external.{name}: is the name of a metric of nmt; choose another")
        return self
