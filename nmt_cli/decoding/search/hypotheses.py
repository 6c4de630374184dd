"""What search finds: hypotheses, and the value that ranks them."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt_cli.decoding.sentences import Phrase, Sentence
from nmt_cli.models.contract import ModelInputs
from nmt_cli.recipe.decoding import SearchSettings


@dataclass(frozen=True)
class Hypothesis:
    """A translation in tokens, and what the model thinks of it."""

    tokens: tuple[int, ...]
    """Without start and end."""
    log_probability: float
    """Natural logarithm, under the model's own distribution; of the end token too, if the model said it."""
    score: float
    """What ranks it: log_probability / length^length_penalty; the length counts the end token if it was said. To this
    come what soft rules and a coverage penalty add."""
    ended: bool = True
    """Whether the model said the end, instead of being cut off at the greatest length."""
    unmet: tuple[Phrase, ...] = ()
    """Required phrases that it does not say, as no translation could say them all."""


def best_first(hypotheses: Iterable[Hypothesis]) -> list[Hypothesis]:
    """Sort by score; equals stay in order."""
    return sorted(hypotheses, key=lambda hypothesis: hypothesis.score, reverse=True)


def before_end(tokens: Iterable[int], end: int) -> tuple[int, ...]:
    """What was said before the first end token, or all."""
    return tuple(itertools.takewhile(lambda token: token != end, tokens))


def longest_translations(source: ModelInputs, settings: SearchSettings, sentences: Sequence[Sentence]) -> Tensor:
    """How many tokens [B], the end apart, a translation may have: max_length_ratio · source length + 10.

    Other lines that are not translated do not count. Other settings come before that, and before these what is wished
    of a sentence.
    """
    assert source.ids is not None
    batch, padded = source.ids.shape
    lengths = source.ids.new_full((batch,), padded) if source.lengths is None else source.lengths
    if any(sentence.unsaid for sentence in sentences):
        lengths = lengths - lengths.new_tensor([sentence.unsaid for sentence in sentences])
    longest = ((lengths - 1).double() * settings.max_length_ratio).long() + 10
    longest = longest.clamp(settings.min_length, settings.max_length)
    if any(sentence.wishes for sentence in sentences):
        wished = [each.wishes.longest_beginning + sum(map(len, each.wishes.required)) for each in sentences]
        longest = longest.maximum(torch.tensor(wished, device=longest.device))
    return longest
