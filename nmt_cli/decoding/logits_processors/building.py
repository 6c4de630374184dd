"""Build logits processors from the settings of a search and the constraints of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from nmt_cli.decoding.logits_processors.phrases import BadWords, ForcedPhrases, PhraseBoost
from nmt_cli.decoding.logits_processors.processor import (
    ForcedPrefix,
    LogitsProcessor,
    MinLength,
    NoRepeatNGram,
    PrefixCompletions,
    ProcessorList,
    SuppressTokens,
)
from nmt_cli.decoding.logits_processors.tracker import ContinuationTokens
from nmt_cli.decoding.scoring.ngram import NgramModel
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.recipe.decoding import StepwiseSettings


@dataclass(frozen=True)
class BatchConstraints:
    """Constraints on the translations of one batch, and other processors and models that change their scores."""

    sentences: Sequence[SentenceInput]
    """The sentences, with the constraints on each translation."""
    suppress_tokens: Sequence[int] = ()
    """Target tokens that are never generated."""
    continuations: ContinuationTokens = field(default_factory=ContinuationTokens)
    processors: Sequence[LogitsProcessor] = ()
    """Further processors, applied last."""
    ngram_model: NgramModel | None = None
    """Added to the scores of prefixes in CTC search."""


def build_processors(
    settings: StepwiseSettings,
    batch: BatchConstraints,
    eos: int,
    max_lengths: Tensor,
    *,
    may_complete: bool = False,
) -> ProcessorList:
    """Return the processors that the settings and the sentences need, in the order in which they are applied.

    Args:
        max_lengths: [B] maximum target tokens, without eos.
        may_complete: Whether a hypothesis may complete a bad word if its next token continues that word.
    """
    constraints, device = [sentence.constraints for sentence in batch.sentences], max_lengths.device
    processors: list[LogitsProcessor] = [
        SuppressTokens(batch.suppress_tokens, device),
        MinLength(settings.min_length, eos),
    ]
    forced: ForcedPhrases | None = None
    if any(each.forced_phrases for each in constraints):
        forced = ForcedPhrases(constraints, max_lengths, eos, batch.continuations)
    if settings.no_repeat_ngram_size is not None:
        processors.append(NoRepeatNGram(settings.no_repeat_ngram_size, forced))
    if any(each.bad_words for each in constraints):
        processors.append(BadWords(constraints, batch.continuations, may_complete, device))
    prefixes = [each.prefix for each in constraints]
    if any(each.prefix_completions for each in constraints):
        completions = [each.prefix_completions for each in constraints]
        processors.append(PrefixCompletions(prefixes, completions, device))
    if any(prefixes):
        processors.append(ForcedPrefix(prefixes, device))
    if forced is not None:
        processors.append(forced)
    if any(each.bonuses for each in constraints):
        processors.append(PhraseBoost(constraints, batch.continuations, device))
    return ProcessorList([*processors, *batch.processors])
