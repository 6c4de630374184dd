"""Search in batches of similar length; a batch that does not fit in memory is halved."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from nmt_cli.console import OnProgress
from nmt_cli.decoding.logits_processors.building import BatchConstraints
from nmt_cli.decoding.logits_processors.phrases import unsatisfied_phrases
from nmt_cli.decoding.logits_processors.tracker import ContinuationTokens
from nmt_cli.decoding.scoring import TargetScores, score_targets
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.search.strategies import Strategy
from nmt_cli.decoding.sentences import Constraints, Phrase, SentenceInput
from nmt_cli.devices import Precision, autocast, is_out_of_memory
from nmt_cli.errors import ModelError, ResourceError
from nmt_cli.models.contract import Model, ModelInputs


class Generator:
    """Generates and scores target tokens with one model."""

    def __init__(
        self,
        model: Model,
        suppress_tokens: Sequence[int],
        device: torch.device,
        precision: Precision = "fp32",
        continuation_mask: Sequence[bool] = (),
        source_eos: bool = True,
    ) -> None:
        """Prepare search with a model that is on the device.

        Args:
            suppress_tokens: Target tokens that are never generated.
            continuation_mask: Whether each target token continues a word: before it, a phrase is not complete. Empty if
                none does.
            source_eos: Whether the model reads eos after each source; otherwise eos is masked like padding.
        """
        self.model, self.device, self.precision = model, device, precision
        self._suppress_tokens, self._source_eos = suppress_tokens, source_eos
        self._continuations = ContinuationTokens(continuation_mask, device)

    def search(
        self, sentences: Sequence[SentenceInput], strategy: Strategy[Any], on_progress: OnProgress = lambda done: None
    ) -> list[list[Hypothesis]]:
        """Return at least one hypothesis of each sentence, best first.

        If a strategy cannot force phrases, sentences with forced phrases use `strategy.for_forced_phrases()`. If no
        translation can contain all of them, impossible ones are dropped; the result lists these as `unsatisfied`.

        Args:
            on_progress: Called with the number of sentences of each batch that is done.

        Raises:
            ModelError: The model's logits are not finite.
            ResourceError: A sentence alone does not fit in memory.
        """
        if not strategy.can_force_phrases and any(each.constraints.forced_phrases for each in sentences):
            return self._search_separately(sentences, strategy, on_progress)
        self.model.eval()
        sizes = [strategy.memory_tokens(sentence) for sentence in sentences]
        return in_batches(
            partial(self._search, strategy=strategy),
            sentences,
            sizes,
            strategy.settings.batch_tokens,
            lambda sentence: _out_of_memory(sentence, "lower decoding.beam_size, or use a larger machine"),
            on_progress,
        )

    def score(
        self,
        sentences: Sequence[SentenceInput],
        targets: Sequence[Sequence[int]],
        batch_tokens: int,
        attention: bool = False,
        on_progress: OnProgress = lambda done: None,
    ) -> list[TargetScores]:
        """Score one given translation of each sentence with teacher forcing. Constraints are ignored.

        Args:
            targets: Token ids without eos.
            batch_tokens: Maximum tokens of a batch on its longer side, padding included.
            attention: Also return cross-attention, without that to tags.
            on_progress: Called with the number of sentences of each batch that is done.

        Raises:
            ResourceError: A sentence alone does not fit in memory.
        """

        def run(batch: list[tuple[SentenceInput, Sequence[int]]]) -> list[TargetScores]:
            with autocast(self.device, self.precision):
                inputs = self.model_inputs([sentence for sentence, _ in batch])
                found = score_targets(self.model, inputs, [target for _, target in batch], attention)
            return [_without_tags(scores, sentence) for scores, (sentence, _) in zip(found, batch, strict=True)]

        self.model.eval()
        pairs = list(zip(sentences, targets, strict=True))
        sizes = [max(sentence.source_length, len(target) + 1) for sentence, target in pairs]
        advice = "it needs a larger machine"
        return in_batches(run, pairs, sizes, batch_tokens, lambda pair: _out_of_memory(pair[0], advice), on_progress)

    def satisfies(self, constraints: Constraints, tokens: Phrase) -> bool:
        """Whether a translation satisfies all hard constraints."""
        rest = tokens[len(constraints.prefix) :]
        completions = constraints.prefix_completions
        present = set(tokens)
        bad_words = {phrase for phrase in constraints.bad_words if present.issuperset(phrase)}
        return (
            tokens[: len(constraints.prefix)] == constraints.prefix
            and (not completions or any(rest[: len(each)] == each for each in completions))
            and len(self._unsatisfied(tuple(bad_words), tokens)) == len(bad_words)
            and not self._unsatisfied(constraints.forced_phrases, tokens)
        )

    def model_inputs(self, batch: Sequence[SentenceInput]) -> ModelInputs:
        """Return one batch of the sentences, each with eos."""
        eos = self.model.vocabulary.special_tokens.eos
        lengths = [sentence.source_length for sentence in batch]
        longest = max(lengths)
        padding = [[eos] * (longest - length) for length in lengths]
        rows = [[*s.tags, *s.tokens, eos, *s.suffix, *pad] for s, pad in zip(batch, padding, strict=True)]
        has_padding = min(lengths) < longest or not self._source_eos
        inputs = ModelInputs.from_ids(
            torch.tensor(rows, device=self.device),
            torch.tensor(lengths, device=self.device) - int(not self._source_eos) if has_padding else None,
            self._columns(batch, longest),
        )
        prompts = [sentence.prompt for sentence in batch]
        return replace(inputs, prompt=torch.tensor(prompts, device=self.device)) if prompts[0] else inputs

    def _columns(self, batch: Sequence[SentenceInput], longest: int) -> dict[str, Tensor]:
        """Return the source columns [B,S,…] of the sentences; 0 at tags, eos and padding."""
        found = {}
        for name, first in batch[0].columns.items():
            column = np.zeros((len(batch), longest, *first.shape[1:]), np.int64)
            for row, sentence in enumerate(batch):
                start = len(sentence.tags)
                column[row, start : start + len(sentence.tokens)] = sentence.columns[name]
            found[name] = torch.from_numpy(column).to(self.device)
        return found

    def _search_separately(
        self, sentences: Sequence[SentenceInput], strategy: Strategy[Any], on_progress: OnProgress
    ) -> list[list[Hypothesis]]:
        has_forced = [bool(sentence.constraints.forced_phrases) for sentence in sentences]
        forced = [sentence for sentence, flag in zip(sentences, has_forced, strict=True) if flag]
        others = [sentence for sentence, flag in zip(sentences, has_forced, strict=True) if not flag]
        found_forced = iter(self.search(forced, strategy.for_forced_phrases(), on_progress))
        found_others = iter(self.search(others, strategy, on_progress))
        return [next(found_forced) if flag else next(found_others) for flag in has_forced]

    def _search(self, batch: list[SentenceInput], strategy: Strategy[Any]) -> list[list[Hypothesis]]:
        constraints = BatchConstraints(batch, self._suppress_tokens, self._continuations)
        inputs = self.model_inputs(batch)
        with autocast(self.device, self.precision):
            found = strategy.search(self.model, inputs, constraints)
        return [
            self._relax_if_unsatisfied(sentence, hypotheses, strategy)
            for sentence, hypotheses in zip(batch, found, strict=True)
        ]

    def _relax_if_unsatisfied(
        self, sentence: SentenceInput, hypotheses: list[Hypothesis], strategy: Strategy[Any]
    ) -> list[Hypothesis]:
        """Search again without impossible phrases if the best hypothesis lacks some.

        If each phrase is possible alone, but not all together, all are dropped.
        """
        forced = sentence.constraints.forced_phrases
        if not hypotheses and not forced:
            raise ModelError(f"line {sentence.line}: the logits are not finite; the model is damaged or has diverged")
        if hypotheses and not self._unsatisfied(forced, hypotheses[0].tokens):
            return hypotheses
        phrases = set(forced)
        possible = {phrase for phrase in phrases if len(phrases) > 1 and self._is_possible(phrase, sentence, strategy)}
        kept = tuple(phrase for phrase in forced if phrase in possible < phrases)
        (others,) = self._search([_with_forced_phrases(sentence, kept)], strategy)
        return [replace(other, unsatisfied=self._unsatisfied(forced, other.tokens)) for other in others]

    def _is_possible(self, phrase: Phrase, sentence: SentenceInput, strategy: Strategy[Any]) -> bool:
        """Whether a translation can contain a phrase as often as it is listed, without other phrases."""
        alone = tuple(each for each in sentence.constraints.forced_phrases if each == phrase)
        (found,) = self._search([_with_forced_phrases(sentence, alone)], strategy)
        return not found[0].unsatisfied

    def _unsatisfied(self, phrases: Sequence[Phrase], tokens: Phrase) -> tuple[Phrase, ...]:
        return unsatisfied_phrases(phrases, tokens, self._continuations)


_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


def in_batches(
    work: Callable[[list[_Item]], list[_Found]],
    items: Sequence[_Item],
    sizes: Sequence[int],
    budget: int,
    out_of_memory: Callable[[_Item], str],
    on_progress: OnProgress = lambda done: None,
) -> list[_Found]:
    """Return the result of `work`, which is called with the items of a batch, for each item.

    Batches are sorted by size, the largest first, so that memory runs out at once or not at all. A batch that does not
    fit in memory is halved.

    Args:
        budget: Maximum total size of a batch, padded to its largest item.
        out_of_memory: Returns the error message for an item that alone does not fit in memory.
        on_progress: Called with the number of items of each batch that is done.

    Raises:
        ResourceError: An item alone does not fit in memory.
    """
    order = sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True)
    results: dict[int, _Found] = {}
    while order:
        count = max(1, budget // sizes[order[0]])
        batches, order = [order[:count]], order[count:]
        while batches:
            batch = batches.pop()
            try:
                results.update(zip(batch, work([items[index] for index in batch]), strict=True))
                on_progress(len(batch))
                continue
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise ResourceError(out_of_memory(items[batch[0]])) from error
            # Outside `except`: the exception would keep the tensors of the failed batch alive.
            torch.cuda.empty_cache()
            middle = len(batch) // 2
            batches += [batch[middle:], batch[:middle]]
    return [results[index] for index in range(len(sizes))]


def _with_forced_phrases(sentence: SentenceInput, phrases: tuple[Phrase, ...]) -> SentenceInput:
    return replace(sentence, constraints=replace(sentence.constraints, forced_phrases=phrases))


def _without_tags(scores: TargetScores, sentence: SentenceInput) -> TargetScores:
    if scores.cross_attention is None or not sentence.tags:
        return scores
    return replace(scores, cross_attention=scores.cross_attention[:, len(sentence.tags) :])


def _out_of_memory(sentence: SentenceInput, advice: str) -> str:
    return f"line {sentence.line}: not enough memory to translate its {len(sentence.tokens):,} subwords; {advice}"
