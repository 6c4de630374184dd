"""Sentences in batches of like length through a model; memory that runs out halves a batch."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from nmt_cli.decoding.forced import Forced, force
from nmt_cli.decoding.rules import Forbid, MinimumLength, Rule
from nmt_cli.decoding.search import STRATEGIES
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.devices import Precision, arithmetic, is_out_of_memory
from nmt_cli.errors import ModelError, ResourceError
from nmt_cli.models.contract import Source, TranslationModel
from nmt_cli.recipe.decoding import BeamSettings, SearchSettings


class Searcher:
    """Searches with one model, never saying the tokens `never`."""

    def __init__(
        self, model: TranslationModel, never: Sequence[int], device: torch.device, precision: Precision = "fp32"
    ) -> None:
        self.model, self.device, self.precision = model, device, precision
        # What can be seen of a line never becomes nothing.
        self._always: list[Rule] = [Forbid(never), MinimumLength(1, model.vocabularies.end)]

    def search(
        self,
        sentences: Sequence[Sentence],
        settings: SearchSettings,
        searched: Callable[[int], object] = lambda sentences: None,
    ) -> list[list[Hypothesis]]:
        """At least one hypothesis of each sentence, best first; `searched` hears how many sentences each batch had.

        The longest come first, so that memory runs out at once or not at all.
        """
        width = settings.beam_size if isinstance(settings, BeamSettings) else settings.n_best
        strategy = STRATEGIES[type(settings)]

        def search(places: list[int]) -> list[list[Hypothesis]]:
            batch = [sentences[place] for place in places]
            with arithmetic(self.device, self.precision):
                found = strategy(self.model, self.source(batch), settings, self._always, batch)
            for sentence, hypotheses in zip(batch, found, strict=True):
                if not hypotheses:
                    raise ModelError(
                        f"line {sentence.line}: the model's scores are not numbers; it is damaged, or diverged"
                    )
            return found

        self.model.eval()
        sizes = [(len(sentence.tokens) + 1) * width for sentence in sentences]
        advice = "lower decoding.beam_size, or use a larger machine"
        return in_batches(
            search, sizes, settings.batch_tokens, lambda place: _memory(sentences[place], advice), searched
        )

    def forced(
        self,
        sentences: Sequence[Sentence],
        targets: Sequence[Sequence[int]],
        batch_tokens: int,
        attention: bool = False,
        forced: Callable[[int], object] = lambda sentences: None,
    ) -> list[Forced]:
        """What the model thinks of one given translation, tokens without end, of each sentence; wishes do not matter.

        A batch has at most `batch_tokens` tokens, padding included, on its longer side; `forced` hears of each.
        """

        def run(places: list[int]) -> list[Forced]:
            with arithmetic(self.device, self.precision):
                source = self.source([sentences[place] for place in places])
                return force(self.model, source, [targets[place] for place in places], attention)

        self.model.eval()
        sizes = [max(len(one.tokens), len(other)) + 1 for one, other in zip(sentences, targets, strict=True)]
        advice = "it needs a larger machine"
        return in_batches(run, sizes, batch_tokens, lambda place: _memory(sentences[place], advice), forced)

    def source(self, batch: Sequence[Sentence]) -> Source:
        """Sentences as one batch, each with its end."""
        end = self.model.vocabularies.end
        lengths = [len(sentence.tokens) + 1 for sentence in batch]
        longest = max(lengths)
        rows = [sentence.tokens + [end] * (longest - len(sentence.tokens)) for sentence in batch]
        uneven = min(lengths) < longest
        return Source(
            torch.tensor(rows, device=self.device), torch.tensor(lengths, device=self.device) if uneven else None
        )


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


def _memory(sentence: Sentence, advice: str) -> str:
    return f"line {sentence.line}: not enough memory to translate its {len(sentence.tokens):,} subwords; {advice}"
