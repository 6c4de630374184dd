"""Sentences in batches of like length through search; memory that runs out halves a batch."""

from collections.abc import Callable, Sequence

import torch

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
        found: list[list[Hypothesis]] = [[] for _ in sentences]
        order = sorted(range(len(sentences)), key=lambda place: len(sentences[place].tokens), reverse=True)
        width = settings.beam_size if isinstance(settings, BeamSettings) else settings.n_best
        self.model.eval()
        while order:
            padded = (len(sentences[order[0]].tokens) + 1) * width
            size = max(1, settings.batch_tokens // padded)
            batch, order = order[:size], order[size:]
            for place, hypotheses in zip(batch, self._search([sentences[i] for i in batch], settings), strict=True):
                if not hypotheses:
                    raise ModelError(
                        f"line {sentences[place].line}: the model's scores are not numbers; it is damaged, or diverged"
                    )
                found[place] = hypotheses
            searched(len(batch))
        return found

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

    def _search(self, batch: list[Sentence], settings: SearchSettings) -> list[list[Hypothesis]]:
        """Search one batch, or its halves if memory does not suffice."""
        try:
            with arithmetic(self.device, self.precision):
                found = STRATEGIES[type(settings)](self.model, self.source(batch), settings, self._always, batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise ResourceError(
                    f"line {batch[0].line}: not enough memory to translate its {len(batch[0].tokens):,} subwords; "
                    "lower decoding.beam_size, or use a larger machine"
                ) from error
        else:
            return found
        # Out here, past the exception, nothing holds the tensors of the failed search any more.
        torch.cuda.empty_cache()
        middle = len(batch) // 2
        return self._search(batch[:middle], settings) + self._search(batch[middle:], settings)
