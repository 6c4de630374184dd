"""Repair of translations with problems: search again in other ways, and keep the best result."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.generator import Generator
from nmt_cli.decoding.markup.placeholders import MaskedLine, mask_spans
from nmt_cli.decoding.markup.transfer import reinsert_markup
from nmt_cli.decoding.scoring.annotation import Annotation, AnnotationInput, Annotator, score_texts
from nmt_cli.decoding.search.hypotheses import Hypothesis, normalize_score
from nmt_cli.decoding.search.strategies import Strategy
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.errors import ModelError
from nmt_cli.text.checks import TranslationFinding

Check = Callable[[str, str], tuple[TranslationFinding, ...]]
"""Returns the problems of a translation, given source and translation."""
Decode = Callable[[list[list[int]]], list[str]]
Search = Callable[[Sequence[SentenceInput], Strategy[Any]], list[list[Hypothesis]]]
SearchMasked = Callable[[Sequence[SentenceInput], Sequence[str], Sequence[Sequence[str]]], list[list[Hypothesis]]]
"""Searches for sentences (also given as text) with the parts masked that their translations lost; see MaskedSearch."""


@dataclass(frozen=True)
class DecodedHypothesis:
    """A hypothesis with its text."""

    text: str
    hypothesis: Hypothesis
    annotation: Annotation | None = None


@dataclass(frozen=True)
class SentenceResult:
    """The hypotheses found for a sentence, best first."""

    hypotheses: list[DecodedHypothesis]
    problems: tuple[TranslationFinding, ...] = ()
    """Problems of the best hypothesis."""
    is_retried: bool = False
    """Whether the best hypothesis is not the first one of the first search."""


def decode_hypotheses(found: Sequence[Sequence[Hypothesis]], decode: Decode) -> list[list[DecodedHypothesis]]:
    """Return hypotheses of sentences with their texts."""
    texts = iter(decode([list(hypothesis.tokens) for hypotheses in found for hypothesis in hypotheses]))
    return [[DecodedHypothesis(next(texts), hypothesis) for hypothesis in hypotheses] for hypotheses in found]


class Repair:
    """Checks translations and retries those with problems."""

    def __init__(
        self,
        check: Check,
        search: Search,
        search_masked: SearchMasked | None,
        decode: Decode,
        strategy: Strategy[Any],
    ) -> None:
        """`search_masked`: the retry for lost text; None leaves it out."""
        self._check, self._search, self._search_masked, self._decode = check, search, search_masked, decode
        self._length_penalty, self._retries = strategy.settings.length_penalty, strategy.retries()

    def __call__(
        self, sentences: Sequence[SentenceInput], sources: Sequence[str], results: Sequence[SentenceResult]
    ) -> list[SentenceResult]:
        """Return the results, those with problems replaced by better ones if any were found.

        A better result has no problems; or it has fewer and also no lower score, because an unlikely translation may
        have fewer problems by chance. All sentences with problems go through each retry together. The first retry
        masks text that must not change and that a translation lost.

        Args:
            sources: The text of each sentence.
        """
        checked = [
            replace(result, problems=self._check(source, result.hypotheses[0].text))
            for source, result in zip(sources, results, strict=True)
        ]
        if not any(result.problems for result in checked):
            return checked
        for index, result in enumerate(checked):
            if result.problems:
                checked[index] = self._better(sources[index], result, result.hypotheses[1:])
        self._retry_masked(sentences, sources, checked)
        for strategy in self._retries:
            failing = [index for index, result in enumerate(checked) if result.problems]
            if not strategy.can_force_phrases:
                failing = [index for index in failing if not sentences[index].constraints.forced_phrases]
            if not failing:
                break
            found = decode_hypotheses(self._search([sentences[index] for index in failing], strategy), self._decode)
            for index, others in zip(failing, found, strict=True):
                checked[index] = self._better(sources[index], checked[index], map(self._rescored, others))
        return checked

    def _better(self, source: str, result: SentenceResult, others: Iterable[DecodedHypothesis]) -> SentenceResult:
        """Return the result, with the best of the others as its first hypothesis if that is better."""
        best, problems = result.hypotheses[0], result.problems
        for other in sorted(others, key=lambda each: each.hypothesis.score, reverse=True):
            found = self._check(source, other.text)
            is_likelier = other.hypothesis.score >= best.hypothesis.score
            if problems and (not found or (len(found) < len(problems) and is_likelier)):
                best, problems = other, found
        if best is result.hypotheses[0]:
            return result
        rest = [each for each in result.hypotheses if each.text != best.text]
        return SentenceResult([best, *rest][: len(result.hypotheses)], problems, is_retried=True)

    def _retry_masked(
        self, sentences: Sequence[SentenceInput], sources: Sequence[str], checked: list[SentenceResult]
    ) -> None:
        """Replace results that lost text which should be copied unchanged."""
        lost = [[finding.lost for finding in result.problems if finding.lost] for result in checked]
        failing = [index for index, each in enumerate(lost) if each]
        if not failing or self._search_masked is None:
            return
        found = self._search_masked(
            [sentences[index] for index in failing],
            [sources[index] for index in failing],
            [lost[index] for index in failing],
        )
        for index, others in zip(failing, decode_hypotheses(found, self._decode), strict=True):
            checked[index] = self._better(sources[index], checked[index], others)

    def _rescored(self, found: DecodedHypothesis) -> DecodedHypothesis:
        """Return a hypothesis with the score of the first search, eos counted, so that scores are comparable."""
        hypothesis = found.hypothesis
        score = normalize_score(hypothesis.log_probability, len(hypothesis.tokens) + 1, self._length_penalty)
        return replace(found, hypothesis=replace(hypothesis, score=score))


class MaskedSearch:
    """Masks text that the model does not reproduce, searches, and reinserts it by word alignment."""

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
