"""The constraints of one batch, and the processors that enforce them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from nmt_cli.decoding.logits_processors.phrases import BadWords, ForcedPhrases, PhraseBoost
from nmt_cli.decoding.logits_processors.processor import (
    LogitsProcessor,
    MinLength,
    NoRepeatNGram,
    PartialPrefix,
    PrefixContinuations,
    ProcessorList,
    SuppressTokens,
)
from nmt_cli.decoding.logits_processors.tracker import ContinuationTokens
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.recipe.decoding import SearchSettings


@dataclass(frozen=True)
class BatchConstraints:
    """Everything that limits the translations of one batch."""

    sentences: Sequence[SentenceInput]
    """With the constraints on each translation."""
    suppress_tokens: Sequence[int] = ()
    """Target tokens that are never generated."""
    continuations: ContinuationTokens = field(default_factory=ContinuationTokens)
    processors: Sequence[LogitsProcessor] = ()
    """Further processors, applied last."""


def build_processors(
    settings: SearchSettings,
    batch: BatchConstraints,
    eos: int,
    max_lengths: Tensor,
    *,
    has_competition: bool = False,
) -> ProcessorList:
    """Return the processors that the settings and the sentences need, in the order in which they are applied.

    Args:
        max_lengths: [B] maximum target tokens, without eos.
        has_competition: Whether a hypothesis may complete a bad word and hope for a token that continues it.
    """
    constraints, device = [sentence.constraints for sentence in batch.sentences], max_lengths.device
    processors: list[LogitsProcessor] = [
        SuppressTokens(batch.suppress_tokens, device),
        MinLength(settings.min_length, eos),
    ]
    if settings.no_repeat_ngram_size is not None:
        processors.append(NoRepeatNGram(settings.no_repeat_ngram_size))
    if any(each.bad_words for each in constraints):
        processors.append(BadWords(constraints, batch.continuations, has_competition, device))
    prefixes = [each.prefix for each in constraints]
    if any(each.prefix_continuations for each in constraints):
        continuations = [each.prefix_continuations for each in constraints]
        processors.append(PrefixContinuations(prefixes, continuations, device))
    if any(prefixes):
        processors.append(PartialPrefix(prefixes, device))
    if any(each.forced_phrases for each in constraints):
        processors.append(ForcedPhrases(constraints, max_lengths, eos, batch.continuations))
    if any(each.bonuses for each in constraints):
        processors.append(PhraseBoost(constraints, batch.continuations, device))
    return ProcessorList([*processors, *batch.processors])
