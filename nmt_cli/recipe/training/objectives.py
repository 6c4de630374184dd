"""What objectives add to the loss or change in what the model reads: consistency, input noise, attention, glancing."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from nmt_cli.recipe.section import MAX_COUNT, Conflicts, Count, Rate, Section

Probability = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]


class RDropSettings(Section):
    """R-Drop (Liang et al. 2021): two passes with different dropout must agree; twice the work and memory."""

    type: Literal["r_drop"]
    """Kind of consistency."""
    weight: Weight = 5.0
    """Weight of the Kullback-Leibler divergence of the two distributions, the mean of both directions."""


class SimCutSettings(Section):
    """SimCut (Gao et al. 2022): a pass with hidden tokens must agree with the full one; twice the work and memory."""

    type: Literal["simcut"]
    """Kind of consistency."""
    weight: Weight = 3.0
    """Weight of the Kullback-Leibler divergence from the full pass to the other."""
    cutoff: Rate = 0.05
    """Probability that a token of the source or the target is hidden from the second pass."""


Consistency = Annotated[RDropSettings | SimCutSettings, Field(discriminator="type")]


class WordDropout(Section):
    """Replace tokens by `<unk>` in training (Gal & Ghahramani 2016; Sennrich et al. 2016)."""

    source: Rate = 0.0
    """Probability of replacing each source token."""
    target: Rate = 0.0
    """Probability of replacing each token that the decoder reads; it must still be predicted."""


class ScheduledSampling(Section):
    """Replace some tokens that the decoder reads by its own predictions (Bengio et al. 2015).

    The predictions come from a pass of the decoder over the true tokens (Duckworth et al. 2019; Mihaylova & Martins
    2019). The probability grows linearly. Keep it small: the labels stay the true tokens.
    """

    max_rate: Rate = 0.25
    """Probability of replacing each token after `end`."""
    start: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 0
    """Update at which the probability begins to grow."""
    end: Count = 20_000
    """Update at which it reaches `max_rate`."""

    @classmethod
    def dependent_defaults(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the usual number of updates between `start` and `end`."""
        start = given.get("start")
        return {"end": cls.model_fields["end"].default + start} if type(start) is int and start >= 0 else {}

    def conflicts(self) -> Conflicts:
        if self.end <= self.start:
            yield "end", f"{self.end} must be greater than start ({self.start})"


class GuidedAlignment(Section):
    """Train attention on the word alignments of the data (Chen et al. 2016)."""

    weight: Weight = 0.05
    """Weight of the cross-entropy between alignments and attention; in a Transformer the mean over the heads of the
    last layer, or over those heads of the layer that a pointer-generator points with."""


class CoverageLoss(Section):
    """Penalise attention to source tokens that already had attention, against repetitions (See et al. 2017)."""

    weight: Weight = 1.0
    """Weight of Σ min(a, c) over source tokens: a is the attention of a target token to a source token, in the layer
    and heads that `guided_alignment` uses, and c the sum of the attention of all earlier target tokens to it."""


class Glancing(Section):
    """Glancing training of CTC models (Qian et al. 2021; Gu & Kong 2021): show the decoder some of the true tokens.

    A first pass, without gradient, counts the output positions at which the best token differs from the most probable
    alignment of the target. At a fraction of that number of positions, drawn at random, the decoder reads the token or
    blank of the alignment in a second pass, which gives the loss. The fraction falls linearly over the training. Use it
    with `model.cross_attention`. Validation and translation have one pass.
    """

    ratio: Probability = 0.5
    """Fraction at the beginning."""
    final_ratio: Probability = 0.3
    """Fraction at the end of the training; at most `ratio`."""

    @classmethod
    def dependent_defaults(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return fractions of which the one at the end is not the larger one."""
        ratio, final = (given.get(key, cls.model_fields[key].default) for key in ("ratio", "final_ratio"))
        if not isinstance(ratio, int | float) or not isinstance(final, int | float):
            return {}
        return {"ratio": max(ratio, final), "final_ratio": min(ratio, final)}

    def conflicts(self) -> Conflicts:
        if self.final_ratio > self.ratio:
            yield "final_ratio", f"{self.final_ratio} must not be more than ratio ({self.ratio})"
