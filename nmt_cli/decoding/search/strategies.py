"""The search strategies of a recipe, one class for each value of `decoding.strategy`.

A strategy owns its settings, its memory estimate, its fallbacks, and whether it can force phrases. So nothing else asks
which strategy it has.
"""

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import torch

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.logits_processors.building import BatchConstraints, build_processors
from nmt_cli.decoding.logits_processors.phrases import BadWords, ForcedPhrases
from nmt_cli.decoding.logits_processors.processor import ProcessorList
from nmt_cli.decoding.search.beam import beam_search
from nmt_cli.decoding.search.candidates import CandidateSelector, TopKSelector
from nmt_cli.decoding.search.constrained import ConstrainedSelector
from nmt_cli.decoding.search.ctc import ctc_search
from nmt_cli.decoding.search.diverse import DiverseSelector, merge_groups
from nmt_cli.decoding.search.hypotheses import Hypothesis, max_target_lengths
from nmt_cli.decoding.search.reranking import DecodeTokens, mbr_decode, rerank_by_coverage
from nmt_cli.decoding.search.sampling import sample
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.models.contract import Model, ModelInputs
from nmt_cli.recipe.decoding import (
    BeamSettings,
    CtcSearchSettings,
    MbrSettings,
    SamplingBaseSettings,
    SamplingSettings,
    SearchSettings,
    StepwiseSettings,
)
from nmt_cli.recipe.evaluation import Evaluation

_MIN_RETRY_BEAM, _MAX_RETRY_BEAM = 8, 50
"""Beam size of a retry; a beam that is larger already stays as it is."""
_RETRY_NGRAM_SIZE = 3
"""Size of the n-grams that a retry does not repeat."""
_RETRY_SAMPLES = 16

Settings = TypeVar("Settings", bound=SearchSettings)


class Strategy(ABC, Generic[Settings]):
    """A way to search for translations."""

    can_force_phrases = True
    """Whether it can search for translations with forced phrases."""
    can_constrain = True
    """Whether it can search for translations with any constraints."""

    def __init__(self, settings: Settings, evaluation: Evaluation | None = None) -> None:
        """`evaluation` sets how a strategy compares candidates, if it does."""
        self.settings, self.evaluation = settings, evaluation or Evaluation()

    def check(self, model: Model) -> None:
        """Raise ModelError if this strategy cannot search with the model."""
        if self.settings.search in model.capabilities.search:
            return
        if "ctc" in model.capabilities.search:
            reason = "predicts all tokens at once (CTC); use ctc"
        else:
            reason = "predicts token by token; use beam, sampling or mbr"
        raise ModelError(f"decoding.strategy: {self.settings.strategy} does not suit this model, which {reason}")

    @abstractmethod
    def search(self, model: Model, inputs: ModelInputs, constraints: BatchConstraints) -> list[list[Hypothesis]]:
        """Return `n_best` hypotheses of each sentence; none only if the model's logits are not finite.

        The first, the translation, is the same for any `n_best`.

        Raises:
            RecipeError: The model lacks something that the settings need.
        """

    @abstractmethod
    def num_hypotheses(self, sentence: SentenceInput) -> int:
        """Return the number of hypotheses that a sentence has at a time."""

    def memory_tokens(self, sentence: SentenceInput) -> int:
        """Return the source tokens of all hypotheses of a sentence, an estimate of its memory in `batch_tokens`."""
        return sentence.source_length * self.num_hypotheses(sentence)

    def for_forced_phrases(self) -> "Strategy[Any]":
        """Return the strategy that searches for sentences with forced phrases in place of this one."""
        return self

    def rerank(self, found: list[list[Hypothesis]], decode: DecodeTokens) -> list[list[Hypothesis]]:
        """Return what is left of the hypotheses of each sentence once their texts are compared."""
        return found

    @abstractmethod
    def retries(self) -> "tuple[Strategy[Any], ...]":
        """Return the strategies to retry with if a translation looks wrong. All that they find is examined."""


class BeamStrategy(Strategy[BeamSettings]):
    """Beam search, with diverse groups or a coverage penalty if the settings ask for them."""

    def __init__(self, settings: BeamSettings, evaluation: Evaluation | None = None) -> None:
        super().__init__(settings, evaluation)
        self.can_force_phrases = settings.num_beam_groups == 1

    def search(self, model: Model, inputs: ModelInputs, constraints: BatchConstraints) -> list[list[Hypothesis]]:
        settings = self.settings
        max_lengths = max_target_lengths(inputs, settings, constraints.sentences)
        may_complete = settings.beam_size > settings.num_beam_groups == 1
        eos = model.vocabulary.special_tokens.eos
        processors = build_processors(settings, constraints, eos, max_lengths, may_complete=may_complete)
        selector = self._selector(processors, eos)
        found = beam_search(model, inputs, settings, processors, selector, max_lengths)
        if settings.num_beam_groups > 1:
            count = settings.beam_size if settings.coverage_penalty else settings.n_best
            found = merge_groups(found, settings.num_beam_groups, count)
        if settings.coverage_penalty:
            found = rerank_by_coverage(model, inputs, found, settings.coverage_penalty)
        return [hypotheses[: settings.n_best] for hypotheses in found]

    def num_hypotheses(self, sentence: SentenceInput) -> int:
        return max(self.settings.beam_size, 1 + sum(map(len, sentence.constraints.forced_phrases)))

    def for_forced_phrases(self) -> "Strategy[Any]":
        return self if self.can_force_phrases else BeamStrategy(self.settings.model_copy(update={"num_beam_groups": 1}))

    def retries(self) -> tuple[Strategy[Any], ...]:
        return _retries(self.settings, self.settings.beam_size)

    def _selector(self, processors: ProcessorList, eos: int) -> CandidateSelector:
        settings = self.settings
        if settings.num_beam_groups > 1:
            group_size = settings.beam_size // settings.num_beam_groups
            return DiverseSelector(settings.num_beam_groups, settings.diversity_penalty, group_size, eos)
        forced, bad_words = processors.find(ForcedPhrases), processors.find(BadWords)
        if forced is not None or (bad_words is not None and bad_words.can_continue):
            return ConstrainedSelector(
                settings.beam_size, eos, forced, bad_words if bad_words and bad_words.can_continue else None
            )
        return TopKSelector(settings.beam_size, eos)


class SamplingStrategy(Strategy[SamplingSettings]):
    """Independent samples. Sentences with forced phrases are searched by a beam."""

    can_force_phrases = False

    def search(self, model: Model, inputs: ModelInputs, constraints: BatchConstraints) -> list[list[Hypothesis]]:
        max_lengths = max_target_lengths(inputs, self.settings, constraints.sentences)
        processors = build_processors(self.settings, constraints, model.vocabulary.special_tokens.eos, max_lengths)
        lines = [sentence.line for sentence in constraints.sentences]
        return sample(model, inputs, self.settings, processors, max_lengths, lines)

    def num_hypotheses(self, sentence: SentenceInput) -> int:
        return self.settings.n_best

    def for_forced_phrases(self) -> Strategy[Any]:
        n_best = self.settings.n_best
        return BeamStrategy(self.settings.beam(max(n_best, BeamSettings().beam_size), n_best))

    def retries(self) -> tuple[Strategy[Any], ...]:
        return _retries(self.settings, beam_size=1)


class MbrStrategy(Strategy[MbrSettings]):
    """Minimum Bayes risk: another strategy finds candidates, and their texts are compared."""

    def __init__(self, settings: MbrSettings, evaluation: Evaluation | None = None) -> None:
        super().__init__(settings, evaluation)
        self.candidates: Strategy[Any] = build_strategy(_candidate_settings(settings))
        self.can_force_phrases = self.candidates.can_force_phrases

    def search(self, model: Model, inputs: ModelInputs, constraints: BatchConstraints) -> list[list[Hypothesis]]:
        return self.candidates.search(model, inputs, constraints)

    def num_hypotheses(self, sentence: SentenceInput) -> int:
        return self.candidates.num_hypotheses(sentence)

    def for_forced_phrases(self) -> Strategy[Any]:
        return self if self.can_force_phrases else self.candidates.for_forced_phrases()

    def rerank(self, found: list[list[Hypothesis]], decode: DecodeTokens) -> list[list[Hypothesis]]:
        from nmt_cli.evaluation.mbr_utility import expected_utilities, utility_function

        settings, utility = self.settings, utility_function(self.settings.utility, self.evaluation)
        are_samples = settings.candidates_from == "sampling"
        return mbr_decode(
            found,
            decode,
            lambda texts, weights: expected_utilities(texts, weights, utility),
            settings.n_best,
            are_samples=are_samples,
        )

    def retries(self) -> tuple[Strategy[Any], ...]:
        return _retries(self.settings, beam_size=1)


class CtcStrategy(Strategy[CtcSearchSettings]):
    """The best alignments of a CTC model, or prefix beam search."""

    can_force_phrases = can_constrain = False

    def search(self, model: Model, inputs: ModelInputs, constraints: BatchConstraints) -> list[list[Hypothesis]]:
        assert inputs.ids is not None
        unused = set(constraints.suppress_tokens) | {model.vocabulary.special_tokens.eos}
        suppress_tokens = torch.tensor(sorted(unused - {model.capabilities.blank}), device=inputs.ids.device)
        return ctc_search(model, inputs, self.settings, suppress_tokens, constraints.ngram_model)

    def num_hypotheses(self, sentence: SentenceInput) -> int:
        return self.settings.beam_size

    def retries(self) -> tuple[Strategy[Any], ...]:
        size = _retry_beam(self.settings.beam_size)
        return (CtcStrategy(self.settings.model_copy(update={"beam_size": size, "n_best": size})),)


STRATEGIES: dict[str, type[Strategy[Any]]] = {
    "beam": BeamStrategy,
    "sampling": SamplingStrategy,
    "mbr": MbrStrategy,
    "ctc": CtcStrategy,
}


def build_strategy(settings: SearchSettings, evaluation: Evaluation | None = None) -> Strategy[Any]:
    """Return the strategy that the settings name."""
    return STRATEGIES[settings.strategy](settings, evaluation)


def replaces_unknown(settings: SearchSettings, tokenizer: Tokenizer, model: Model) -> bool:
    """Return whether the settings replace unknown words; RecipeError if there are none, or the model cannot."""
    if not isinstance(settings, StepwiseSettings) or not settings.replace_unknown:
        return False
    if not tokenizer.target.has_unknown_text:
        reason = "no word is unknown to this model"
    elif tokenizer.copies:
        reason = "this model copies unknown words itself"
    elif not model.capabilities.attention:
        reason = "this model has no attention to a source"
    else:
        return True
    raise RecipeError(f"decoding.replace_unknown: {reason}; remove the key")


def _retry_beam(beam_size: int) -> int:
    """Return the beam size of a retry, at least that of the first search."""
    return max(beam_size, min(max(2 * beam_size, _MIN_RETRY_BEAM), _MAX_RETRY_BEAM))


def _retries(settings: StepwiseSettings, beam_size: int) -> tuple[Strategy[Any], ...]:
    """Return a wider beam, then one that prefers longer translations without repetitions, then sampling.

    The samples have a fixed seed.
    """
    size = _retry_beam(beam_size)
    # With early_stopping there are enough different hypotheses to choose from.
    wider = settings.beam(size, n_best=size).model_copy(update={"early_stopping": True})
    longer = {
        "length_penalty": min(settings.length_penalty + 1, 10.0),
        "no_repeat_ngram_size": settings.no_repeat_ngram_size or _RETRY_NGRAM_SIZE,
    }
    shared = settings.shared() | {"n_best": _RETRY_SAMPLES}
    sampling = SamplingSettings(strategy="sampling", temperature=0.7, top_k=10, **shared)
    return BeamStrategy(wider), BeamStrategy(wider.model_copy(update=longer)), SamplingStrategy(sampling)


def _candidate_settings(settings: MbrSettings) -> BeamSettings | SamplingSettings:
    """Return the settings of the search for candidates, without validating them again."""
    count = settings.num_candidates
    if settings.candidates_from == "beam":
        return settings.beam(count, n_best=count)
    filters: dict[str, Any] = {name: getattr(settings, name) for name in SamplingBaseSettings.model_fields}
    return SamplingSettings.model_construct(**filters | {"strategy": "sampling", "n_best": count})
