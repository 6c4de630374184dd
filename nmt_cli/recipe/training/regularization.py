"""The sections of `training` that regularise a model."""

from typing import Annotated, Literal

from pydantic import Field

from nmt_cli.recipe.section import MAX_COUNT, Conflicts, Count, Rate, Section

Weight = Annotated[float, Field(ge=0)]


class RDropSettings(Section):
    """R-Drop (Liang et al. 2021): two passes with different dropout must agree; twice the work and memory."""

    type: Literal["r_drop"]
    """Kind of consistency."""
    weight: Weight = 5.0
    """Weight of the Kullback-Leibler divergence of the two distributions, the mean of both directions."""


class SimCutSettings(Section):
    """SimCut (Gao et al. 2022): a pass with words cut off must agree with the full one; twice the work and memory."""

    type: Literal["simcut"]
    """Kind of consistency."""
    weight: Weight = 3.0
    """Weight of the Kullback-Leibler divergence from the full pass to the other."""
    cutoff: Rate = 0.05
    """Probability that a word of the source or the target is hidden from the second pass."""


Consistency = Annotated[RDropSettings | SimCutSettings, Field(discriminator="type")]


class WordDropout(Section):
    """Replace words by `<unk>` in training (Gal & Ghahramani 2016; Sennrich et al. 2016)."""

    source: Rate = 0.0
    """Probability of replacing each source word."""
    target: Rate = 0.0
    """Probability of replacing each word that the decoder reads; it must still be predicted."""


class ScheduledSampling(Section):
    """Replace some words that the decoder reads by its own predictions (Bengio et al. 2015).

    The predictions come from a pass of the decoder over the true words (Duckworth et al. 2019; Mihaylova & Martins
    2019). The probability grows linearly. Keep it small: the labels stay the true words.
    """

    max_rate: Rate = 0.25
    """Probability of replacing each word after `end`."""
    start: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 0
    """Update at which the probability begins to grow."""
    end: Count = 20_000
    """Update at which it reaches `max_rate`."""

    def conflicts(self) -> Conflicts:
        if self.end <= self.start:
            yield "end", f"{self.end} must be greater than start ({self.start})"


class GuidedAlignment(Section):
    """Train attention on the word alignments of the data (Chen et al. 2016)."""

    weight: Weight = 0.05
    """Weight of the cross-entropy between alignments and attention (Transformer: last layer, mean over heads)."""
