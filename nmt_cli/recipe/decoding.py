"""The section `decoding`, and all that may change when a model stands."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, Tag, model_validator

from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.section import MAX_COUNT, Count, Section, discriminator


class SearchSettings(Section):
    """What every search strategy can be told."""

    n_best: Count = 1
    """Translations of each line in the formats that show several."""
    length_penalty: Annotated[float, Field(ge=-10, le=10)] = 1.0
    """Translations are ranked by log-probability / length^length_penalty; larger prefers longer ones."""
    max_length_ratio: Annotated[float, Field(gt=0, le=100)] = 2.0
    """Longest translation: this many times the source, in subwords, plus ten."""
    max_length: Count | None = None
    """Longest translation in subwords, whatever the source."""
    min_length: Count = 1
    """Shortest translation in subwords."""
    no_repeat_ngram: Count | None = None
    """No so many subwords in a row are said twice (Paulus et al. 2018)."""
    split_above: Annotated[int, Field(ge=0, le=MAX_COUNT)] | None = 10
    """Lines of more subwords than this are translated sentence by sentence; null: only those that are too long."""
    check: bool = True
    """Look at each translation for loops, lost numbers and the like; one that fails is searched for in other ways."""
    glossary_bonus: Annotated[float, Field(ge=0, le=100)] = 3.0
    """What each use of a term of a soft glossary adds to the rank of a translation, in nats."""
    batch_tokens: Count = 8192
    """Padded source tokens translated at once, every hypothesis counted."""
    precision: Literal["fp32", "bf16", "int8"] = "fp32"
    """Of products with weights. bf16 and int8 are faster, less exact; int8, for CPUs only, rounds a batch together."""

    @model_validator(mode="after")
    def check_lengths(self) -> Self:
        if self.max_length is not None and self.min_length > self.max_length:
            raise ValueError(f"min_length: {self.min_length} is more than max_length, {self.max_length}")
        return self

    def beam(self, size: int, n_best: int) -> "BeamSettings":
        """A plain beam that is told the same."""
        return BeamSettings(**self.shared() | {"beam_size": size, "n_best": n_best})

    def shared(self) -> dict[str, Any]:
        """What every strategy can be told of these settings."""
        return {name: getattr(self, name) for name in SearchSettings.model_fields}


class BeamSettings(SearchSettings):
    """Beam search (Graves 2012; Sutskever et al. 2014); a beam of one is greedy search."""

    strategy: Literal["beam"] = "beam"
    """How translations are searched for."""
    beam_size: Annotated[int, Field(ge=1, le=1000)] = 5
    """Hypotheses kept of each sentence."""
    early_stop: Literal["settled", "first", "never"] = "settled"
    """When beam_size are finished, stop at the `first`, when none would win by ending (`settled`), or `never` so."""
    coverage_penalty: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Rank again by score + coverage_penalty · Σ log min(1, attention to each source word) (Wu et al. 2016)."""
    groups: Count = 1
    """Share the beam out to so many groups, which shun each other's words: diverse beam (Vijayakumar et al. 2018)."""
    diversity: Annotated[float, Field(ge=0, le=100)] = 0.5
    """What a word costs a group, in nats, for each hypothesis of earlier groups that says it at the same time."""

    @model_validator(mode="after")
    def check_n_best(self) -> Self:
        if self.n_best > self.beam_size:
            raise ValueError(f"n_best: {self.n_best} translations need a beam_size of as many, not {self.beam_size}")
        return self

    @model_validator(mode="after")
    def check_groups(self) -> Self:
        if self.beam_size % self.groups:
            raise ValueError(f"groups: a beam_size of {self.beam_size} cannot be shared out to {self.groups} groups")
        return self


class Drawing(SearchSettings):
    """How words are drawn by chance."""

    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Below one, likely words become likelier."""
    top_k: Count | None = None
    """Draw among this many likeliest words."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Draw among the likeliest words that together have this probability (Holtzman et al. 2020)."""
    min_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Draw among the words that are at least so many times as likely as the likeliest (Nguyen et al. 2024)."""
    epsilon: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Draw among the words that have at least this probability (Hewitt et al. 2022), or say the likeliest."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """The same seed draws the same words."""


class SamplingSettings(Drawing):
    """Each word is drawn by chance; n_best draws are made of each line."""

    strategy: Literal["sampling"]
    """How translations are searched for."""


class MinimumRiskSettings(Drawing):
    """Minimum Bayes risk (Kumar & Byrne 2004; Eikema & Aziz 2020): of many candidates, the one most like the others."""

    strategy: Literal["minimum_risk"]
    """How translations are searched for."""
    utility: Literal["chrf", "bleu"] = "chrf"
    """How alike two candidates are: sacreBLEU's score of one, with the other as its reference."""
    candidates: Annotated[int, Field(ge=1, le=1000)] = 32
    """How many there are of each line."""
    candidates_from: Literal["sampling", "beam"] = "sampling"
    """Draws, which count alike, or the hypotheses of a beam, which count by their probability."""

    @model_validator(mode="after")
    def check_candidates(self) -> Self:
        if self.n_best > self.candidates:
            raise ValueError(f"n_best: {self.n_best} translations need as many candidates, not {self.candidates}")
        drawing = {name: each.default for name, each in Drawing.model_fields.items() if name not in self.shared()}
        given = [name for name, default in drawing.items() if getattr(self, name) != default]
        if self.candidates_from == "beam" and given:
            raise ValueError(f"{given[0]}: a beam draws nothing; leave it out, or candidates_from")
        return self

    def search(self) -> BeamSettings | SamplingSettings:
        """How the candidates are searched for."""
        if self.candidates_from == "sampling":
            drawing: dict[str, Any] = {name: getattr(self, name) for name in Drawing.model_fields}
            return SamplingSettings(strategy="sampling", **drawing | {"n_best": self.candidates})
        return self.beam(self.candidates, n_best=self.candidates)


Decoding = Annotated[
    Annotated[BeamSettings, Tag("beam")]
    | Annotated[SamplingSettings, Tag("sampling")]
    | Annotated[MinimumRiskSettings, Tag("minimum_risk")],
    discriminator("strategy", "beam"),
]


class AfterTraining(Section):
    """The sections that do not shape the weights, so that they can change when a model stands."""

    decoding: Decoding = BeamSettings()
    evaluation: Evaluation = Evaluation()
