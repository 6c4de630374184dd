"""Lines in, translations out."""

import itertools
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from nmt_cli.console import warn
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.batching import Searcher
from nmt_cli.decoding.pieces import pieces
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.decoding.steering.spelling import continuing
from nmt_cli.decoding.steering.wishes import Steering, SteeringSettings
from nmt_cli.decoding.windows import windows
from nmt_cli.devices import Precision
from nmt_cli.models.contract import TranslationModel
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings

LONGEST_SENTENCE = 1000
"""Subwords; a longer line is translated in pieces."""


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


class Translator:
    """Translates lines with one model, as its settings say."""

    def __init__(
        self,
        model: TranslationModel,
        tokenizer: Tokenizer,
        settings: BeamSettings | SamplingSettings,
        device: torch.device,
        precision: Precision = "fp32",
        steering: SteeringSettings = SteeringSettings(),
    ) -> None:
        self.tokenizer, self.settings = tokenizer, settings
        words = model.vocabularies
        never = sorted({tokenizer.pad, tokenizer.unknown, words.start} - {words.end})
        self.searcher = Searcher(model, never, device, precision, torch.tensor(continuing(tokenizer)))
        self._steering = Steering(tokenizer, steering)

    def translate(
        self, requests: Iterable[Request], translated: Callable[[int], object] = lambda sentences: None
    ) -> Iterator[Translation]:
        """Translate each line, in order, while lines still come in; `translated` hears how many each batch had."""
        first = 1
        for window in windows(requests):
            yield from self.translate_window(window, first, translated)
            first += len(window)

    def translate_window(
        self,
        requests: Sequence[Request],
        first: int = 1,
        translated: Callable[[int], object] = lambda sentences: None,
    ) -> list[Translation]:
        """Translate these lines together; the first has the number `first`, which chance and messages depend on."""
        rows = self.tokenizer.encode_source([request.text for request in requests])
        sentences = [
            self._sentences(number, request, tokens)
            for number, (request, tokens) in enumerate(zip(requests, rows, strict=True), first)
        ]
        together = [sentence for group in sentences for sentence in group]
        found = iter(self.searcher.search(together, self.settings, translated))
        return [
            Translation(request.text, self._texts(list(itertools.islice(found, len(group)))))
            for request, group in zip(requests, sentences, strict=True)
        ]

    def _sentences(self, number: int, request: Request, tokens: list[int]) -> list[Sentence]:
        """What to translate of a line: nothing if there is nothing to see, pieces if it is too long."""
        if not tokens or is_blank(request.text):
            return []
        if len(tokens) <= LONGEST_SENTENCE:
            wishes = self._steering.wishes(request, [(0, len(request.text))])[0]
            return [Sentence(number, tokens, wishes)]
        rows = pieces(request.text, lambda text: self.tokenizer.encode_source([text])[0], LONGEST_SENTENCE)
        warn(f"line {number}: has {len(tokens):,} subwords; it is translated in {len(rows)} pieces")
        return [Sentence(number, row) for row in rows]

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


def is_blank(line: str) -> bool:
    """Whether nothing can be seen of a line: only spaces, controls and formats such as U+200B."""
    return all(unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cc", "Cf") for character in line)
