"""Lines in, translations out."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.batching import Searcher
from nmt_cli.decoding.checking import Candidate, Check, Mender, Outcome, candidates
from nmt_cli.decoding.pieces import LONGEST, Limits, Piece, join, pieces
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.decoding.windows import windows
from nmt_cli.devices import Precision
from nmt_cli.models.contract import TranslationModel
from nmt_cli.recipe.decoding import SearchSettings
from nmt_cli.text.checks import Finding


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
    problems: tuple[Finding, ...] = ()
    """What looks wrong with the best, whatever was done about it."""
    mended: bool = False
    """Whether the best was found only when it was searched for anew."""
    cut: bool = False
    """Whether the line holds a sentence that was too long to be translated at once."""
    endless: bool = False
    """Whether the best was still going on when it, or a piece of it, had reached the greatest length."""

    @property
    def best(self) -> TranslatedText:
        return self.hypotheses[0]


class Translator:
    """Translates lines with one model, as its settings say."""

    def __init__(
        self,
        model: TranslationModel,
        tokenizer: Tokenizer,
        settings: SearchSettings,
        device: torch.device,
        precision: Precision = "fp32",
        longest: int = LONGEST,
        check: Check | None = None,
    ) -> None:
        """Sentences of more than `longest` subwords are cut; what `check` finds fault with is mended, if it can be."""
        self.tokenizer, self.settings = tokenizer, settings
        self._limits = Limits(longest, settings.split_above)
        words = model.vocabularies
        never = sorted({tokenizer.pad, tokenizer.unknown, words.start} - {words.end})
        self.searcher = Searcher(model, never, device, precision)
        self._mender = check and Mender(check, self.searcher.search, tokenizer.decode_target, settings)

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
        lines = [request.text for request in requests]
        parts = self._pieces(lines)
        sentences = [Sentence(number, piece.tokens) for number, group in enumerate(parts, first) for piece in group]
        sources = [line[piece.start : piece.end] for line, group in zip(lines, parts, strict=True) for piece in group]
        found = self.searcher.search(sentences, self.settings, translated)
        outcomes = list(map(Outcome, candidates(found, self.tokenizer.decode_target)))
        if self._mender:
            outcomes = self._mender.mend(sentences, sources, outcomes)
        each = iter(outcomes)
        return [
            self._translation(line, group, list(itertools.islice(each, len(group))))
            for line, group in zip(lines, parts, strict=True)
        ]

    def _pieces(self, lines: list[str]) -> list[list[Piece]]:
        """What to translate of each line: nothing if there is nothing to see, pieces if it is long."""
        rows = self.tokenizer.encode_source(lines)
        return [pieces(line, tokens, self._encode, self._limits) for line, tokens in zip(lines, rows, strict=True)]

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode_source([text])[0]

    def _translation(self, line: str, parts: list[Piece], outcomes: list[Outcome]) -> Translation:
        """The translations of a line from those of its pieces: the best of each joined, then the second best, …"""
        combined = list(zip(*(outcome.candidates for outcome in outcomes), strict=False)) if outcomes else [()]
        return Translation(
            line,
            tuple(_joined(line, parts, said, self.settings.length_penalty) for said in combined),
            problems=tuple(finding for outcome in outcomes for finding in outcome.problems),
            mended=any(outcome.mended for outcome in outcomes),
            cut=any(piece.cut for piece in parts),
            endless=not all(outcome.candidates[0].hypothesis.ended for outcome in outcomes),
        )


def _joined(line: str, parts: list[Piece], said: Sequence[Candidate], length_penalty: float) -> TranslatedText:
    if len(said) == 1:
        return TranslatedText(said[0].text, said[0].hypothesis.log_probability, said[0].hypothesis.score)
    hypotheses = [candidate.hypothesis for candidate in said]
    log_probability = sum(hypothesis.log_probability for hypothesis in hypotheses)
    length = sum(len(hypothesis.tokens) + 1 for hypothesis in hypotheses)
    text = join(line, parts, [candidate.text for candidate in said])
    return TranslatedText(text, log_probability, log_probability / max(1, length) ** length_penalty)
