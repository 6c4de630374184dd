"""The section `decoding`, and all that may change when a model stands."""

from typing import Annotated, Literal, Self

from pydantic import Field, Tag, model_validator

from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.section import Count, Section, told_by


class SearchSettings(Section):
    """What every search strategy can be told."""

    n_best: Count = 1
    """Translations of each line in the formats that show several."""
    length_penalty: Annotated[float, Field(ge=-10, le=10)] = 1.0
    """Translations are ranked by log-probability / length^length_penalty; larger prefers longer ones."""
    max_length_ratio: Annotated[float, Field(gt=0, le=100)] = 2.0
    """Longest translation: this many times the source, in subwords, plus ten."""
    batch_tokens: Count = 4096
    """Padded source tokens translated at once, every hypothesis counted."""


class BeamSettings(SearchSettings):
    """Beam search (Graves 2012; Sutskever et al. 2014); a beam of one is greedy search."""

    strategy: Literal["beam"] = "beam"
    """How translations are searched for."""
    beam_size: Annotated[int, Field(ge=1, le=1000)] = 5
    """Hypotheses kept of each sentence."""

    @model_validator(mode="after")
    def check_n_best(self) -> Self:
        if self.n_best > self.beam_size:
            raise ValueError(f"n_best: {self.n_best} translations need a beam_size of as many, not {self.beam_size}")
        return self


class SamplingSettings(SearchSettings):
    """Each word is drawn by chance; n_best draws are made of each line."""

    strategy: Literal["sampling"]
    """How translations are searched for."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Below one, likely words become likelier."""
    top_k: Count | None = None
    """Draw among this many likeliest words."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Draw among the likeliest words that together have this probability (Holtzman et al. 2020)."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """The same seed draws the same words."""


Decoding = Annotated[
    Annotated[BeamSettings, Tag("beam")] | Annotated[SamplingSettings, Tag("sampling")],
    told_by("strategy", "beam"),
]


class AfterTraining(Section):
    """The sections that do not shape the weights, so that they can change when a model stands."""

    decoding: Decoding = BeamSettings()
    evaluation: Evaluation = Evaluation()
