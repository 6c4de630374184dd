"""The sections `training.mixing` and `training.augmentation`: which pairs come how often, and in what disguise."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from nmt_cli.recipe.section import Name, Positive, Section

Probability = Annotated[float, Field(ge=0, le=1)]


class Stage(Section):
    """A part of training with a mixture of its own."""

    shares: Annotated[dict[Name, Positive], Field(min_length=1)]
    """Of each corpus among the pairs, such as `{backtranslated: 7, clean: 3}`; corpora not named do not come."""
    passes: dict[Name, Positive] = {}
    """The stage ends when a corpus has come so often, such as `{backtranslated: 2}`; the last stage never ends."""

    @model_validator(mode="after")
    def check_passes(self) -> Self:
        if len(self.passes) > 1:
            raise ValueError("passes: must name one corpus")
        if self.passes.keys() - self.shares.keys():
            raise ValueError(f"passes: {next(iter(self.passes))} is not among the shares")
        return self


class Mixing(Section):
    """How training corpora are mixed: by their weights, by a temperature, or in stages."""

    temperature: Annotated[float, Field(ge=1)] = 1.0
    """Above 1, small corpora come more often: shares are sizes to the power of 1/temperature; the largest comes once."""
    stages: list[Stage] = []
    """Mixtures that follow one another; weights and temperature then say nothing."""

    @model_validator(mode="after")
    def check_stages(self) -> Self:
        for number, stage in enumerate(self.stages, 1):
            if bool(stage.passes) == (number == len(self.stages)):
                last = "the last stage has no end" if stage.passes else "every stage but the last needs an end"
                raise ValueError(f"stages: stage {number}: {last}")
        return self


class Augmentation(Section):
    """Changes some training pairs as they are read, anew in each epoch, so that a model bears text that is not tidy."""

    upper_case: Probability = 0.0
    """Probability that a pair comes all in capitals."""
    title_case: Probability = 0.0
    """Probability that each word of a pair begins with a capital."""
    no_final_punctuation: Probability = 0.0
    """Probability that a pair loses the full stop, or the like, at its end."""
    typos: Probability = 0.0
    """Probability that a source gets a typing mistake: a letter too many, too few, another, or two in the wrong order."""
    noise: Probability = 0.0
    """Probability that a source loses, repeats or swaps a word."""
