"""The sections `training.mixing` and `training.augmentation`: which pairs come how often, and in what disguise."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from nmt_cli.recipe.section import CrossFieldError, Name, Positive, Section

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
        for name in self.passes.keys() - self.shares.keys():
            raise CrossFieldError(("passes", name), "is not among the shares")
        return self


class Mixing(Section):
    """How training corpora are mixed: by their weights, by a temperature, or in stages."""

    temperature: Annotated[float, Field(ge=1)] = 1.0
    """Above 1, small corpora come more often: shares are sizes to the power 1/temperature; the largest comes once."""
    stages: list[Stage] = []
    """Mixtures that follow one another; the weights of corpora then say nothing, and temperature must be 1."""

    @model_validator(mode="after")
    def check_stages(self) -> Self:
        for number, stage in enumerate(self.stages, 1):
            if bool(stage.passes) == (number == len(self.stages)):
                last = "the last stage never ends" if stage.passes else "is missing; every stage but the last ends"
                raise CrossFieldError(("stages", number - 1, "passes"), last)
        return self

    @model_validator(mode="after")
    def check_temperature(self) -> Self:
        if self.stages and self.temperature != 1:
            raise ValueError("temperature: does not go with stages, which say the shares themselves")
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
    """Probability that a source gets a typing mistake: a letter too many, too few or another, or two swapped."""
    noise: Probability = 0.0
    """Probability that a source loses, repeats or swaps a word."""
