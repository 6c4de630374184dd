"""The section `training.subword_sampling`."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from nmt_cli.recipe.section import Section


class SubwordSampling(Section):
    """Cut the text anew in each epoch, at random: from the unigram model (Kudo 2018), or by BPE-dropout.

    BPE-dropout is by Provilkov et al. 2020. Validation and translation cut as ever.
    """

    alpha: Annotated[float, Field(gt=0, le=1)]
    """bpe: chance to leave out a merge, such as 0.1; unigram: power of the cuts' probabilities, such as 0.3, where less
    is more random."""
    source: bool = True
    """Do it to sources."""
    target: bool = True
    """Do it to targets."""

    @model_validator(mode="after")
    def check_sides(self) -> Self:
        if not (self.source or self.target):
            raise ValueError("must cut source or target at random; leave the section out to do neither")
        return self
