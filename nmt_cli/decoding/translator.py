"""Lines in, translations out: windows, batches, pieces of long lines, memory that runs out."""

import itertools
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from nmt_cli.console import warn
from nmt_cli.decoding import STRATEGIES
from nmt_cli.decoding.hypotheses import Hypothesis
from nmt_cli.decoding.pieces import pieces
from nmt_cli.decoding.rules import Forbid, MinimumLength, Rule
from nmt_cli.decoding.windows import windows
from nmt_cli.devices import Precision, arithmetic
from nmt_cli.errors import ModelError, ResourceError
from nmt_cli.models.contract import Source, TranslationModel
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings

LONGEST_SENTENCE = 1000
"""Subwords; a longer line is translated in pieces."""


class Tokenizer(Protocol):
    """What translation asks of a tokenizer. Its rows of tokens hold no start and no end."""

    pad: int
    unknown: int

    def encode_source(self, lines: list[str]) -> list[list[int]]: ...
    def decode_target(self, rows: list[list[int]]) -> list[str]: ...


@dataclass(frozen=True)
class TranslatedText:
    """One translation of a line."""

    text: str
    log_probability: float
    score: float


@dataclass(frozen=True)
class Translation:
    """A line and its translations, best first; a line without visible text has one, empty and certain."""

    source: str
    hypotheses: tuple[TranslatedText, ...]

    @property
    def best(self) -> TranslatedText:
        return self.hypotheses[0]


@dataclass(frozen=True)
class _Sentence:
    """What is translated at once, a line or a piece of one: the line's number from 1, tokens without end."""

    line: int
    tokens: list[int]


class Translator:
    """Translates lines with one model, as its settings say."""

    def __init__(
        self,
        model: TranslationModel,
        tokenizer: Tokenizer,
        settings: BeamSettings | SamplingSettings,
        device: torch.device,
        precision: Precision = "fp32",
    ) -> None:
        self.model, self.tokenizer, self.settings = model, tokenizer, settings
        self.device, self.precision = device, precision
        words = model.vocabularies
        # What can be seen of a line never becomes nothing.
        self._rules: list[Rule] = [
            Forbid(sorted({tokenizer.pad, tokenizer.unknown, words.start} - {words.end})),
            MinimumLength(1, words.end),
        ]
        self._width = settings.beam_size if isinstance(settings, BeamSettings) else settings.n_best

    def translate(
        self, lines: Iterable[str], translated: Callable[[int], object] = lambda sentences: None
    ) -> Iterator[Translation]:
        """Translate each line, in order, while lines still come in; `translated` hears how many each batch had."""
        first = 1
        for window in windows(lines):
            yield from self.translate_window(window, first, translated)
            first += len(window)

    def translate_window(
        self, lines: Sequence[str], first: int = 1, translated: Callable[[int], object] = lambda sentences: None
    ) -> list[Translation]:
        """Translate these lines together; the first has the number `first`, which chance and messages depend on."""
        rows = self.tokenizer.encode_source(list(lines))
        sentences = [
            self._sentences(number, line, tokens)
            for number, (line, tokens) in enumerate(zip(lines, rows, strict=True), first)
        ]
        found = iter(self._search([sentence for group in sentences for sentence in group], translated))
        return [
            Translation(line, self._texts(list(itertools.islice(found, len(group)))))
            for line, group in zip(lines, sentences, strict=True)
        ]

    def _sentences(self, number: int, line: str, tokens: list[int]) -> list[_Sentence]:
        """What to translate of a line: nothing if there is nothing to see, pieces if it is too long."""
        if not tokens or _is_blank(line):
            return []
        if len(tokens) <= LONGEST_SENTENCE:
            return [_Sentence(number, tokens)]
        rows = pieces(line, lambda text: self.tokenizer.encode_source([text])[0], LONGEST_SENTENCE)
        warn(f"line {number}: has {len(tokens):,} subwords; it is translated in {len(rows)} pieces")
        return [_Sentence(number, row) for row in rows]

    def _search(self, sentences: list[_Sentence], translated: Callable[[int], object]) -> list[list[Hypothesis]]:
        """Hypotheses of each sentence. The longest come first, so that memory runs out at once or not at all."""
        found: list[list[Hypothesis]] = [[] for _ in sentences]
        order = sorted(range(len(sentences)), key=lambda place: len(sentences[place].tokens), reverse=True)
        self.model.eval()
        while order:
            padded = (len(sentences[order[0]].tokens) + 1) * self._width
            size = max(1, self.settings.batch_tokens // padded)
            batch, order = order[:size], order[size:]
            for place, hypotheses in zip(batch, self._search_batch([sentences[i] for i in batch]), strict=True):
                if not hypotheses:
                    raise ModelError(
                        f"line {sentences[place].line}: the model's scores are not numbers; it is damaged, or diverged"
                    )
                found[place] = hypotheses
            translated(len(batch))
        return found

    def _search_batch(self, batch: list[_Sentence]) -> list[list[Hypothesis]]:
        """Search one batch, or its halves if memory does not suffice."""
        try:
            source, lines = self._source(batch), [sentence.line for sentence in batch]
            with arithmetic(self.device, self.precision):
                found = STRATEGIES[type(self.settings)](self.model, source, self.settings, self._rules, lines)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
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
        return self._search_batch(batch[:middle]) + self._search_batch(batch[middle:])

    def _source(self, batch: list[_Sentence]) -> Source:
        end = self.model.vocabularies.end
        lengths = [len(sentence.tokens) + 1 for sentence in batch]
        longest = max(lengths)
        rows = [sentence.tokens + [end] * (longest - len(sentence.tokens)) for sentence in batch]
        uneven = min(lengths) < longest
        return Source(
            torch.tensor(rows, device=self.device), torch.tensor(lengths, device=self.device) if uneven else None
        )

    def _texts(self, found: list[list[Hypothesis]]) -> tuple[TranslatedText, ...]:
        """The translations of a line from those of its pieces: the best of each joined, then the second best, …"""
        combined = list(zip(*found, strict=False)) if found else [()]
        texts = [" ".join(self.tokenizer.decode_target([list(part.tokens) for part in parts])) for parts in combined]
        return tuple(
            _joined(text, parts, self.settings.length_penalty) for text, parts in zip(texts, combined, strict=True)
        )


def _joined(text: str, parts: Sequence[Hypothesis], length_penalty: float) -> TranslatedText:
    log_probability = sum(part.log_probability for part in parts)
    if len(parts) == 1:
        return TranslatedText(text, log_probability, parts[0].score)
    length = sum(len(part.tokens) + 1 for part in parts)
    return TranslatedText(text, log_probability, log_probability / max(1, length) ** length_penalty)


def _is_blank(line: str) -> bool:
    """Whether nothing can be seen of a line: only spaces, controls and formats such as U+200B."""
    return all(unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cc", "Cf") for character in line)


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in str(error) for words in ("out of memory", "can't allocate memory", "not enough memory")
    )
