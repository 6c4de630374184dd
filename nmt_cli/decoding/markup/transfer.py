"""Translation of lines with markup or protected text, which come out exactly once."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.generator import Generator
from nmt_cli.decoding.markup.placeholders import (
    MaskedLine,
    count_matches,
    escape_markup,
    mask_markup,
    mask_spans,
    mask_tags,
)
from nmt_cli.decoding.markup.reinsertion import reinsert_markup
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.results import TranslatedText, Translation
from nmt_cli.decoding.scoring.annotation import Annotation, AnnotationInput, Annotator, score_texts
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.search.strategies import Strategy
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.errors import ModelError, RecipeError

TranslateWindow = Callable[[Sequence[Request]], list[Translation]]
"""Translates lines together and aligns their words."""


@dataclass(frozen=True)
class _MaskedRequest:
    request: Request
    line: MaskedLine
    escape: Callable[[str], str] = str
    is_malformed: bool = False

    @property
    def masked(self) -> Request:
        return replace(self.request, text=self.line.text)


class MarkupTransfer:
    """Masks text before translation and reinserts it afterwards.

    Tags are always masked. Protected text is first left to the model, and masked if a translation does not contain it
    as often as the source.
    """

    def __init__(self, options: TranslateOptions) -> None:
        """Create the transfer. Annotations that the options do not request are removed from translations.

        Raises:
            RecipeError: A protected pattern is not a regular expression.
        """
        self._options, self._protect = options, compile_protected(options.protect)

    def translate(self, requests: Sequence[Request], translate: TranslateWindow) -> list[Translation]:
        """Translate lines with their markup and protected text."""
        lines = [self._mask(request) for request in requests]
        found = translate([line.masked for line in lines])
        if self._protect:
            failing = {
                index for index, line in enumerate(lines) if not _is_preserved(line, found[index], self._protect)
            }
            for index in failing:
                lines[index] = replace(lines[index], line=mask_spans(lines[index].line, self._protect))
            if failing:
                blank = Request("")  # keeps the line numbers of the others
                again = translate([line.masked if index in failing else blank for index, line in enumerate(lines)])
                found = [again[index] if index in failing else each for index, each in enumerate(found)]
        return [self._unmask(line, translation) for line, translation in zip(lines, found, strict=True)]

    def _mask(self, request: Request) -> _MaskedRequest:
        if not self._options.markup:
            return _MaskedRequest(request, MaskedLine(request.text))
        masked = mask_markup(request.text)
        if masked is None:
            return _MaskedRequest(request, mask_tags(request.text), is_malformed=True)
        return _MaskedRequest(request, masked, escape=escape_markup)

    def _unmask(self, line: _MaskedRequest, translation: Translation) -> Translation:
        hypotheses = tuple(self._unmask_text(line, found) for found in translation.hypotheses)
        return replace(translation, source=line.request.text, hypotheses=hypotheses, is_malformed=line.is_malformed)

    def _unmask_text(self, line: _MaskedRequest, found: TranslatedText) -> TranslatedText:
        known, options = found.annotation or Annotation(), self._options
        text = reinsert_markup(line.line, found.text, known.alignment or (), line.escape)
        annotation = None
        if options.alignment or options.word_scores:
            annotation = Annotation(
                known.alignment if options.alignment else None, known.word_scores if options.word_scores else None
            )
        return replace(found, text=text, annotation=annotation)


class MaskedSearch:
    """Searches for sentences without text that the model does not reproduce, and reinserts it by word alignment."""

    def __init__(self, generator: Generator, tokenizer: Tokenizer, strategy: Strategy[Any]) -> None:
        self._generator, self._tokenizer, self._strategy = generator, tokenizer, strategy

    def __call__(
        self, sentences: Sequence[SentenceInput], sources: Sequence[str], lost: Sequence[Sequence[str]]
    ) -> list[list[Hypothesis]]:
        """Return the best translation of each sentence, scored by the model with the lost text in it.

        There is none if nothing is left of the sentence, if the model has no attention, or if it has source factors,
        which belong to whole words.

        Args:
            sources: The text of each sentence.
            lost: The parts of each text that are missing from its translation.
        """
        if self._tokenizer.factors.names:
            return [[] for _ in sentences]
        masked = [
            mask_spans(MaskedLine(source), re.compile("|".join(map(re.escape, sorted(each, key=len, reverse=True)))))
            for source, each in zip(sources, lost, strict=True)
        ]
        rows = self._tokenizer.encode_source([each.text for each in masked])
        indices = [index for index, row in enumerate(rows) if row]
        found = self._generator.search(
            [replace(sentences[index], tokens=rows[index]) for index in indices], self._strategy
        )
        best = [hypotheses[0].tokens for hypotheses in found]
        texts = self._tokenizer.decode_target([list(tokens) for tokens in best])
        annotator = Annotator(self._generator, self._tokenizer, self._strategy.settings.batch_tokens, alignment=True)
        try:
            annotations = annotator.annotate(
                [
                    AnnotationInput(masked[index].text, replace(sentences[index], tokens=rows[index]), text, tokens)
                    for index, text, tokens in zip(indices, texts, best, strict=True)
                ]
            )
        except ModelError:  # no attention
            return [[] for _ in sentences]
        complete = [
            reinsert_markup(masked[index], text, annotation.alignment or (), str)
            for index, text, annotation in zip(indices, texts, annotations, strict=True)
        ]
        scored = score_texts(
            self._generator, self._tokenizer, self._strategy.settings, [sentences[index] for index in indices], complete
        )
        by_index = dict(zip(indices, scored, strict=True))
        return [[by_index[index]] if index in by_index else [] for index in range(len(sentences))]


def _is_preserved(line: _MaskedRequest, translation: Translation, pattern: re.Pattern[str]) -> bool:
    """Return whether all hypotheses contain the matches of a pattern as often as the source."""
    wanted = count_matches(line.line.text, pattern)
    return all(count_matches(found.text, pattern) == wanted for found in translation.hypotheses)


def compile_protected(patterns: Sequence[str]) -> re.Pattern[str] | None:
    """Compile regular expressions to one; None if there are none. RecipeError names the first invalid one."""
    for pattern in patterns:
        try:
            re.compile(f"(?:{pattern})")
        except re.error as error:
            raise RecipeError(f"--protect {pattern!r}: is not a regular expression: {error}") from error
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns)) if patterns else None
