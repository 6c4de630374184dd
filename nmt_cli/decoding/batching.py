"""Sentences in batches of like length through a model; memory that runs out halves a batch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from nmt_cli.console import OnProgress
from nmt_cli.decoding.rules import rules_of
from nmt_cli.decoding.rules.required import unmet
from nmt_cli.decoding.scoring import TargetScores, score_targets
from nmt_cli.decoding.search import STRATEGIES
from nmt_cli.decoding.search.hypotheses import Hypothesis, longest_translations
from nmt_cli.decoding.sentences import Phrase, Sentence, Wishes
from nmt_cli.devices import Precision, autocast, is_out_of_memory
from nmt_cli.errors import ModelError, ResourceError
from nmt_cli.models.contract import Model, ModelInputs
from nmt_cli.recipe.decoding import BeamSettings, MinimumRiskSettings, SearchSettings


class Searcher:
    """Searches with one model, never saying the tokens `never`."""

    def __init__(
        self,
        model: Model,
        never: Sequence[int],
        device: torch.device,
        precision: Precision = "fp32",
        continues: Tensor | None = None,
    ) -> None:
        """continues [V] are the target tokens that continue a word: a phrase ends where none follows. None: none do."""
        self.model, self.device, self.precision, self._never = model, device, precision, never
        self._continues = None if continues is None else continues.to(device)

    def search(
        self,
        sentences: Sequence[Sentence],
        settings: SearchSettings,
        searched: Callable[[int], object] = lambda sentences: None,
    ) -> list[list[Hypothesis]]:
        """At least one hypothesis of each sentence, best first; `searched` hears how many sentences each batch had.

        Minimum risk has candidates searched for. Sentences of which phrases are required are searched by a plain beam,
        whatever the strategy. Where all that is required cannot be said, what cannot is given up, and what then is not
        said is named as `unmet`.
        """
        settings = settings.search() if isinstance(settings, MinimumRiskSettings) else settings
        plain = _plain_beam(settings)
        if plain is not settings and any(sentence.wishes.required for sentence in sentences):
            return self._search_apart(sentences, settings, plain, searched)

        def search(places: list[int]) -> list[list[Hypothesis]]:
            return self._search([sentences[place] for place in places], settings)

        self.model.eval()
        sizes = [sentence.size * _width(sentence, settings) for sentence in sentences]
        advice = "lower decoding.beam_size, or use a larger machine"
        return in_batches(
            search, sizes, settings.batch_tokens, lambda place: _memory(sentences[place], advice), searched
        )

    def score(
        self,
        sentences: Sequence[Sentence],
        targets: Sequence[Sequence[int]],
        batch_tokens: int,
        attention: bool = False,
        on_progress: OnProgress = lambda sentences: None,
    ) -> list[TargetScores]:
        """Score one given translation of each sentence with teacher forcing. Constraints do not matter.

        Args:
            targets: Token ids without eos.
            batch_tokens: Maximum tokens of the longer side of a batch, padding included.
            attention: Also return cross-attention, without that to tags.
            on_progress: Called with the number of sentences of each batch.
        """

        def run(places: list[int]) -> list[TargetScores]:
            with autocast(self.device, self.precision):
                source = self.source([sentences[place] for place in places])
                found = score_targets(self.model, source, [targets[place] for place in places], attention)
            return [_without_tags(each, sentences[place]) for each, place in zip(found, places, strict=True)]

        self.model.eval()
        sizes = [max(one.size, len(other) + 1) for one, other in zip(sentences, targets, strict=True)]
        advice = "it needs a larger machine"
        return in_batches(run, sizes, batch_tokens, lambda place: _memory(sentences[place], advice), on_progress)

    def _search_apart(
        self,
        sentences: Sequence[Sentence],
        settings: SearchSettings,
        plain: BeamSettings,
        searched: Callable[[int], object],
    ) -> list[list[Hypothesis]]:
        """Search sentences of which phrases are required by a plain beam, and the others as the settings say."""
        needy = [sentence for sentence in sentences if sentence.wishes.required]
        others = [sentence for sentence in sentences if not sentence.wishes.required]
        first, second = iter(self.search(needy, plain, searched)), iter(self.search(others, settings, searched))
        return [next(first) if sentence.wishes.required else next(second) for sentence in sentences]

    def _search(self, batch: list[Sentence], settings: SearchSettings) -> list[list[Hypothesis]]:
        source = self.source(batch)
        longest = longest_translations(source, settings, batch)
        eos = self.model.vocabulary.special_tokens.eos
        rules = rules_of(batch, settings, self._never, eos, longest, self._continues)
        with autocast(self.device, self.precision):
            found = STRATEGIES[type(settings)](self.model, source, settings, rules, batch)
        return [
            self._or_with_less(sentence, hypotheses, settings)
            for sentence, hypotheses in zip(batch, found, strict=True)
        ]

    def _or_with_less(
        self, sentence: Sentence, hypotheses: list[Hypothesis], settings: SearchSettings
    ) -> list[Hypothesis]:
        """What was found; or, where phrases are missing from the best, what is found without those that cannot be said.

        If each can be said alone, but not all together, none is asked for.
        """
        wishes = sentence.wishes
        if not hypotheses and not wishes.required:
            raise ModelError(f"line {sentence.line}: the model's scores are not numbers; it is damaged, or diverged")
        if hypotheses and not unmet(wishes.required, hypotheses[0].tokens, self._continues):
            return hypotheses
        phrases = set(wishes.required)
        possible = {phrase for phrase in phrases if len(phrases) > 1 and self._can_say(phrase, sentence, settings)}
        required = tuple(phrase for phrase in wishes.required if phrase in possible < phrases)
        less = replace(sentence, wishes=replace(wishes, required=required))
        (others,) = self._search([less], settings)
        return [replace(other, unmet=unmet(wishes.required, other.tokens, self._continues)) for other in others]

    def _can_say(self, phrase: Phrase, sentence: Sentence, settings: SearchSettings) -> bool:
        """Whether a phrase can be said as often as it is required, if nothing else is."""
        alone = tuple(each for each in sentence.wishes.required if each == phrase)
        (found,) = self._search([replace(sentence, wishes=replace(sentence.wishes, required=alone))], settings)
        return not found[0].unmet

    def grants(self, wishes: Wishes, tokens: Phrase) -> bool:
        """Whether a translation is as is wished of it; what is favoured is not asked for."""
        begins, rest = tokens[: len(wishes.prefix)] == wishes.prefix, tokens[len(wishes.prefix) :]
        opens = not wishes.openings or any(rest[: len(each)] == each for each in wishes.openings)
        said = set(tokens)
        forbidden = {phrase for phrase in wishes.forbidden if said.issuperset(phrase)}
        none_is_said = len(unmet(tuple(forbidden), tokens, self._continues)) == len(forbidden)
        return begins and opens and none_is_said and not unmet(wishes.required, tokens, self._continues)

    def source(self, batch: Sequence[Sentence]) -> ModelInputs:
        """Sentences as one batch, each with its end."""
        end = self.model.vocabulary.special_tokens.eos
        lengths = [sentence.size for sentence in batch]
        longest = max(lengths)
        rows = [[*one.tags, *one.tokens, *[end] * (1 + longest - one.size)] for one in batch]
        uneven = min(lengths) < longest
        return ModelInputs.from_ids(
            torch.tensor(rows, device=self.device),
            torch.tensor(lengths, device=self.device) if uneven else None,
            self._columns(batch, longest),
        )

    def _columns(self, batch: Sequence[Sentence], longest: int) -> dict[str, Tensor]:
        """Return the source columns [B,S,…] of the sentences; 0 at tags and behind the tokens."""
        found = {}
        for name, first in batch[0].columns.items():
            column = np.zeros((len(batch), longest, *first.shape[1:]), np.int64)
            for row, sentence in enumerate(batch):
                column[row, len(sentence.tags) : sentence.size - 1] = sentence.columns[name]
            found[name] = torch.from_numpy(column).to(self.device)
        return found


Result = TypeVar("Result")


def in_batches(
    work: Callable[[list[int]], list[Result]],
    sizes: Sequence[int],
    budget: int,
    too_large: Callable[[int], str],
    worked: Callable[[int], object] = lambda items: None,
) -> list[Result]:
    """What `work` makes of each item; it is given the places of those in a batch, and `worked` their number.

    The sizes of a batch, padded to its largest, fit the budget, and where memory runs out nonetheless, it is halved.
    The largest come first, so that memory runs out at once or not at all. ResourceError, with the words of `too_large`,
    for an item that memory cannot hold alone.
    """
    order = sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True)
    results: dict[int, Result] = {}
    while order:
        count = max(1, budget // sizes[order[0]])
        batch, order = order[:count], order[count:]
        results.update(zip(batch, _or_its_halves(work, batch, too_large), strict=True))
        worked(len(batch))
    return [results[place] for place in range(len(sizes))]


def _or_its_halves(
    work: Callable[[list[int]], list[Result]], batch: list[int], too_large: Callable[[int], str]
) -> list[Result]:
    try:
        return work(batch)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(batch) == 1:
            raise ResourceError(too_large(batch[0])) from error
    # Out here, past the exception, nothing holds the tensors of the failed work any more.
    torch.cuda.empty_cache()
    middle = len(batch) // 2
    return _or_its_halves(work, batch[:middle], too_large) + _or_its_halves(work, batch[middle:], too_large)


def _without_tags(scores: TargetScores, sentence: Sentence) -> TargetScores:
    if scores.cross_attention is None or not sentence.tags:
        return scores
    return replace(scores, cross_attention=scores.cross_attention[:, len(sentence.tags) :])


def _width(sentence: Sentence, settings: SearchSettings) -> int:
    """How many hypotheses a sentence has at a time."""
    if not isinstance(settings, BeamSettings):
        return settings.n_best
    return max(settings.beam_size, 1 + sum(map(len, sentence.wishes.required)))


def _plain_beam(settings: SearchSettings) -> BeamSettings:
    """How sentences of which phrases are required are searched."""
    if isinstance(settings, BeamSettings):
        return settings if settings.groups == 1 else settings.model_copy(update={"groups": 1})
    return settings.beam(max(settings.n_best, BeamSettings().beam_size), settings.n_best)


def _memory(sentence: Sentence, advice: str) -> str:
    return f"line {sentence.line}: not enough memory to translate its {len(sentence.tokens):,} subwords; {advice}"
