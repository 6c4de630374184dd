"""The section `decoding`, and the settings that may change after training."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.section import (
    MAX_COUNT,
    Conflicts,
    Count,
    File,
    LengthClass,
    SearchKind,
    Section,
    default_discriminator,
)

_MAX_HYPOTHESES = 1000


def _true_false_or_text(value: Any) -> Any:
    if isinstance(value, bool | str):
        return value
    raise ValueError("must be true, false or never")  # 1 equals True, which a Literal would accept


class SearchSettings(Section):
    """Settings of every search strategy."""

    strategy: str
    n_best: Count = 1
    """Number of translations of each line, in formats that show several."""
    length_penalty: Annotated[float, Field(ge=-10, le=10)] = 1.0
    """Rank translations by log-probability / length^length_penalty. A larger value prefers longer translations."""
    length: LengthClass | None = None
    """Length of translations that a model trained with `data.length_tags` is asked for; null: normal."""
    split_sentences_above: Annotated[int, Field(ge=0, le=MAX_COUNT)] | None = 10
    """Translate lines of more subwords than this sentence by sentence; null: only lines that are too long."""
    check: bool = True
    """Check each translation for repetitions, lost numbers and the like, and retry those with problems."""
    batch_tokens: Count = 8192
    """Maximum padded source tokens per batch, counted once for each hypothesis."""
    precision: Literal["fp32", "bf16", "int8"] = "fp32"
    """Precision of matrix products with weights. bf16 and int8 are faster and less exact. int8 is for CPUs only; its
    rounding depends on the batch."""

    search: ClassVar[SearchKind]
    """What the strategy needs of a model; see Capabilities.search."""


class LanguageModelSettings(Section):
    """A language model that helps to choose the tokens of translations (shallow fusion, Gulcehre et al. 2015)."""

    path: File
    """A run, checkpoint or model of `architecture: decoder_only` with the vocabulary of the target language."""
    weight: Annotated[float, Field(gt=0, le=10)] = 0.2
    """Weight of its log-probability of each token, which is added to that of the translation model."""


class StepwiseSettings(SearchSettings):
    """Settings of the strategies that generate a translation token by token."""

    max_length_ratio: Annotated[float, Field(gt=0, le=100)] = 2.0
    """Maximum length of a translation in subwords: this many times the length of the source, plus
    `max_length_offset`, rounded up."""
    max_length_offset: Annotated[float, Field(ge=0, le=MAX_COUNT)] = 10.0
    """Added to `max_length_ratio` times the length, so that translations of short lines may be longer."""
    max_length: Count | None = None
    """Maximum length of a translation in subwords, for any source."""
    min_length: Count = 1
    """Minimum length of a translation in subwords."""
    no_repeat_ngram_size: Count | None = None
    """Never repeat this many consecutive subwords (Paulus et al. 2018)."""
    replace_unknown: bool = False
    """Generate unknown words, and replace each by the source word with the most attention (Luong et al. 2015). For
    models with attention whose vocabulary lacks words (`tokenizer.byte_fallback: false`)."""
    glossary_bonus: Annotated[float, Field(ge=0, le=100)] = 3.0
    """Bonus in nats for each use of a term of a soft glossary."""
    language_model: LanguageModelSettings | None = None
    """Add the log-probabilities of a language model to those of the translation model. Not used by validation in
    training."""
    shortlist: bool = False
    """Only consider the subwords that the model's shortlist gives for each source, which is faster with a large
    vocabulary; `nmt shortlist` makes it. Not used by validation in training."""

    search: ClassVar[SearchKind] = "step"

    def conflicts(self) -> Conflicts:
        if self.max_length is not None and self.min_length > self.max_length:
            yield "min_length", f"{self.min_length} is more than max_length, {self.max_length}"
        if self.shortlist and self.language_model is not None:
            yield "shortlist", "cannot be combined with language_model"

    def beam(self, size: int, n_best: int) -> "BeamSettings":
        """Return the settings of an ordinary beam search with the same shared settings, not validated again."""
        return BeamSettings.model_construct(**self.shared() | {"beam_size": size, "n_best": n_best})

    def shared(self) -> dict[str, Any]:
        """Return the settings that every such strategy has."""
        return {name: getattr(self, name) for name in StepwiseSettings.model_fields if name != "strategy"}


class BeamSettings(StepwiseSettings):
    """Beam search (Graves 2012; Sutskever et al. 2014). A beam of one is greedy search."""

    strategy: Literal["beam"] = "beam"
    """The search strategy."""
    beam_size: Annotated[int, Field(ge=1, le=_MAX_HYPOTHESES)] = 5
    """Number of hypotheses kept of each sentence."""
    early_stopping: Annotated[Literal[True, False, "never"], BeforeValidator(_true_false_or_text)] = False
    """When `beam_size` hypotheses are finished: stop at once (true), stop when no active one would win by ending
    (false), or continue until none can win at any length (`never`)."""
    coverage_penalty: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Rerank by score + coverage_penalty · Σ log min(1, attention to each source token) (Wu et al. 2016)."""
    num_beam_groups: Count = 1
    """Divide the beam into groups that avoid each other's tokens: diverse beam search (Vijayakumar et al. 2018)."""
    diversity_penalty: Annotated[float, Field(ge=0, le=100)] = 0.5
    """Cost in nats of a token for each hypothesis of earlier groups that has the same token at the same position."""

    @classmethod
    def dependent_defaults(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a beam that is divisible into the groups. `n_best` does not change it."""
        groups = given.get("num_beam_groups", 1)
        if type(groups) is not int or groups < 1:
            return {}
        size = -(-cls.model_fields["beam_size"].default // groups) * groups
        return {"beam_size": size} if size <= _MAX_HYPOTHESES else {}

    def conflicts(self) -> Conflicts:
        yield from super().conflicts()
        if self.n_best > self.beam_size:
            yield "n_best", f"{self.n_best} is more than beam_size, {self.beam_size}; set a larger beam_size as well"
        if self.beam_size % self.num_beam_groups:
            yield "num_beam_groups", f"beam_size {self.beam_size} is not divisible by {self.num_beam_groups}"


class SamplingBaseSettings(StepwiseSettings):
    """Settings of the distribution that tokens are sampled from."""

    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Divisor of the log-probabilities. Below one, likely tokens become more likely."""
    top_k: Count | None = None
    """Sample among this many most likely tokens."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Sample among the most likely tokens that together have this probability (Holtzman et al. 2020)."""
    min_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Sample among tokens at least this fraction as likely as the most likely one (Nguyen et al. 2024)."""
    epsilon: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Sample among tokens with at least this probability, or take the most likely one (Hewitt et al. 2022)."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Seed of the samples. The same seed gives the same translations."""


class SamplingSettings(SamplingBaseSettings):
    """Sampling: each token is drawn from the model's distribution. The first of n_best samples is the translation."""

    strategy: Literal["sampling"]
    """The search strategy."""


class MbrSettings(SamplingBaseSettings):
    """Minimum Bayes risk (Kumar & Byrne 2004; Eikema & Aziz 2020): choose the candidate most similar to the others."""

    strategy: Literal["mbr"]
    """The search strategy."""
    utility: Literal["chrf", "bleu"] = "chrf"
    """Similarity of two candidates: sacreBLEU's sentence score of one with the other as reference."""
    num_candidates: Annotated[int, Field(ge=1, le=_MAX_HYPOTHESES)] = 32
    """Number of candidates of each line."""
    candidates_from: Literal["sampling", "beam"] = "sampling"
    """Where candidates come from: samples, which count equally, or a beam, whose hypotheses count by probability."""

    def conflicts(self) -> Conflicts:
        yield from super().conflicts()
        if self.n_best > self.num_candidates:
            message = f"{self.n_best} is more than num_candidates, {self.num_candidates}; set more candidates as well"
            yield "n_best", message
        for name, field in SamplingBaseSettings.model_fields.items() if self.candidates_from == "beam" else ():
            if name not in StepwiseSettings.model_fields and getattr(self, name) != field.default:
                yield name, "has no effect on a beam; remove it, or candidates_from"


class NgramModelSettings(Section):
    """An n-gram language model that helps to choose the tokens of translations."""

    path: File
    """A file in the ARPA format, over the target tokens of the model; plain or compressed."""
    weight: Annotated[float, Field(gt=0, le=10)] = 0.5
    """Weight of its log-probability of each token and of eos, which is added to that of the CTC model."""


class CtcSearchSettings(SearchSettings):
    """Search with a CTC model, which predicts all tokens at once: the best alignment (Graves et al. 2006), or prefix
    beam search (Graves & Jaitly 2014), which adds the probabilities of all alignments of a translation."""

    strategy: Literal["ctc"]
    """The search strategy."""
    beam_size: Annotated[int, Field(ge=1, le=_MAX_HYPOTHESES)] = 1
    """Number of prefixes kept of each sentence; 1: take the best token at each position, the fastest search."""
    length_penalty: Annotated[float, Field(ge=-10, le=10)] = 0.0
    """Rank translations by log-probability / length^length_penalty. A larger value prefers longer translations."""

    ngram_model: NgramModelSettings | None = None
    """Add the log-probabilities of an n-gram language model to those of prefix beam search. Not used by validation in
    training."""

    search: ClassVar[SearchKind] = "ctc"

    def conflicts(self) -> Conflicts:
        if self.ngram_model is not None and self.beam_size == 1:
            yield "ngram_model", "needs prefix beam search; set beam_size to 2 or more"
        if self.n_best > self.beam_size:
            yield "n_best", f"{self.n_best} is more than beam_size, {self.beam_size}; set a larger beam_size as well"


def _default_strategy(siblings: Mapping[str, Any]) -> str:
    """Return the strategy that suits the model of the same recipe."""
    return "ctc" if getattr(siblings.get("model"), "search", "step") == "ctc" else "beam"


Decoding = Annotated[
    BeamSettings | SamplingSettings | MbrSettings | CtcSearchSettings,
    Field(discriminator="strategy"),
    default_discriminator("strategy", _default_strategy),
]


class InferenceSettings(Section):
    """The sections that may change after training."""

    decoding: Decoding = BeamSettings()
    evaluation: Evaluation = Evaluation()
