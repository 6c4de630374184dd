"""The section `training.subword_sampling`."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from nmt_cli.recipe.section import Section


class SubwordSampling(Section):
    """Cut text anew in each epoch, at random: unigram (Kudo 2018) or BPE-dropout (Provilkov et al. 2020)."""

    alpha: Annotated[float, Field(gt=0, le=1)]
    """bpe: share of merges left out (0.1); unigram: power of a cut's probability, where less varies more (0.3)."""
    source: bool = True
    """Do it to sources."""
    target: bool = True
    """Do it to targets."""

    @model_validator(mode="after")
    def check_sides(self) -> Self:
        if not (self.source or self.target):
            raise ValueError("must cut source or target at random; leave the section out to do neither")
        return self
