"""Results of a search, and the score that ranks them."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from nmt_cli.decoding.sentences import Phrase, SentenceInput
from nmt_cli.models.contract import Model, ModelInputs
from nmt_cli.recipe.decoding import StepwiseSettings

Score = TypeVar("Score", float, Tensor)


def begin_search(model: Model, inputs: ModelInputs) -> tuple[Any, Tensor]:
    """Encode the sources; return the cache after all but the last token of the prompt, and that token [B].

    Without a prompt, the first token is decoder_start.
    """
    cache = model.init_cache(model.encode(inputs), inputs.batch_size)
    if inputs.prompt is None:
        start, device = model.vocabulary.special_tokens.decoder_start, None if inputs.ids is None else inputs.ids.device
        return cache, torch.full((inputs.batch_size,), start, device=device)
    before = inputs.prompt[:, :-1]
    if before.size(1):
        _, cache = model.prefill(before, torch.full((len(before),), before.size(1), device=before.device), cache)
    return cache, inputs.prompt[:, -1]


@dataclass(frozen=True)
class Hypothesis:
    """A translation as token ids, with its score."""

    tokens: tuple[int, ...]
    """Without bos and eos."""
    log_probability: float
    """Natural logarithm, under the model's own distribution; includes eos if it was generated."""
    score: float
    """Normalized by length, with the bonuses of soft processors and of the coverage penalty. The best is highest."""
    has_eos: bool = True
    """Whether the model generated eos; if not, the translation was truncated at the maximum length."""
    unsatisfied: tuple[Phrase, ...] = ()
    """Forced phrases that it does not contain, because no translation could contain all of them."""


def normalize_score(log_prob: Score, length: int | Tensor, length_penalty: float) -> Score:
    """Return log_prob / length^length_penalty.

    Args:
        log_prob: Natural logarithm of a probability, with bonuses if there are any.
        length: Number of tokens, with eos if it was generated. An empty translation without eos counts as 1.

    >>> normalize_score(-6.0, length=4, length_penalty=0.5)
    -3.0
    """
    at_least_one: Any = length.clamp(min=1) if isinstance(length, Tensor) else max(1, length)
    normalized: Score = log_prob / at_least_one**length_penalty
    return normalized


def best_first(hypotheses: Iterable[Hypothesis]) -> list[Hypothesis]:
    """Sort by score. Hypotheses of equal score keep their order."""
    return sorted(hypotheses, key=lambda hypothesis: hypothesis.score, reverse=True)


def before_eos(tokens: Iterable[int], eos: int) -> tuple[int, ...]:
    """Return the tokens before the first eos, or all."""
    return tuple(itertools.takewhile(lambda token: token != eos, tokens))


def max_target_lengths(inputs: ModelInputs, settings: StepwiseSettings, sentences: Sequence[SentenceInput]) -> Tensor:
    """Return the maximum number [B] of target tokens, without eos, that the source length allows.

    Context lines do not count as source. min_length and max_length override the ratio, and the length that the
    constraints of a sentence need overrides both. Without a source, max_length must be set.
    """
    if inputs.ids is None:
        assert inputs.prompt is not None and settings.max_length is not None
        return inputs.prompt.new_full((inputs.batch_size,), settings.max_length)
    batch, padded = inputs.ids.shape
    lengths = inputs.ids.new_full((batch,), padded) if inputs.lengths is None else inputs.lengths
    if any(sentence.num_context_tokens for sentence in sentences):
        lengths = lengths - lengths.new_tensor([sentence.num_context_tokens for sentence in sentences])
    longest = ((lengths - 1).double() * settings.max_length_ratio + settings.max_length_offset).ceil().long()
    longest = longest.clamp(settings.min_length, settings.max_length)
    if any(sentence.constraints for sentence in sentences):
        needed = [sentence.constraints.sufficient_length for sentence in sentences]
        longest = longest.maximum(torch.tensor(needed, device=longest.device))
    return longest
