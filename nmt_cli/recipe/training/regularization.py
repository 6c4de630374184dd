"""The sections of `training` that keep a model from learning its corpus by heart."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nmt_cli.recipe.section import MAX_COUNT, Count, Rate, Section

Weight = Annotated[float, Field(ge=0)]


class RDropSettings(Section):
    """R-Drop (Liang et al. 2021): two passes, unlike in their dropout alone, must agree; twice the work and memory."""

    type: Literal["r_drop"]
    """Which consistency is asked for."""
    weight: Weight = 5.0
    """Of the Kullback-Leibler divergence of the two distributions, the mean of both directions."""


class SimCutSettings(Section):
    """SimCut (Gao et al. 2022): a pass that does not see some of the words must agree; twice the work and memory."""

    type: Literal["simcut"]
    """Which consistency is asked for."""
    weight: Weight = 3.0
    """Of the Kullback-Leibler divergence from the whole pass to the other."""
    cutoff: Rate = 0.05
    """Probability of cutting each word of the source and the target off from the second pass."""


Consistency = Annotated[RDropSettings | SimCutSettings, Field(discriminator="type")]


class WordDropout(Section):
    """Words hidden while training (Gal & Ghahramani 2016; Sennrich et al. 2016): `<unk>` stands in their place."""

    source: Rate = 0.0
    """Probability of each word of the source."""
    target: Rate = 0.0
    """Probability of each word that the decoder reads; it must be predicted all the same."""


class ScheduledSampling(Section):
    """Some words that the decoder reads are its own predictions (Bengio et al. 2015).

    They come from a pass of the decoder over the true words (Duckworth et al. 2019; Mihaylova & Martins 2019). Their
    share grows in a straight line. Keep it small: the words to predict stay the true ones.
    """

    max_rate: Rate = 0.25
    """Probability of replacing each word, at the end."""
    start: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 0
    """Updates before the probability begins to grow."""
    end: Count = 20_000
    """Updates after which it is `max_rate`."""

    @model_validator(mode="after")
    def check_order(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"end: {self.end} must be greater than start ({self.start})")
        return self


class GuidedAlignment(Section):
    """Attention learns from word alignments that the data gives (Chen et al. 2016)."""

    weight: Weight = 0.05
    """Of the cross-entropy between alignments and attention, a Transformer's of the last layer, mean over heads."""
