"""Repair of translations with problems: search again in other ways, and take a good result that is nearly as likely.

The checks see only text, so a result without problems can still be nonsense. Only the model can tell: a result is taken
only if its log-probability per token is at most `MAX_LOSS` less than that of the first translation.
benchmarks/results/checker.md shows how this bound was chosen.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.generator import Generator
from nmt_cli.decoding.markup.placeholders import MaskedLine, mask_spans, pattern_spans
from nmt_cli.decoding.markup.transfer import reinsert_markup
from nmt_cli.decoding.scoring.annotation import Annotation, AnnotationInput, Annotator, score_texts
from nmt_cli.decoding.search.hypotheses import Hypothesis, normalize_score
from nmt_cli.decoding.search.strategies import Strategy
from nmt_cli.decoding.sentences import Decode, SentenceInput, with_copies
from nmt_cli.errors import ModelError
from nmt_cli.text.checks import TranslationFinding

Check = Callable[[str, str], tuple[TranslationFinding, ...]]
"""Returns the problems of a translation, given source and translation."""
IsAllowed = Callable[[SentenceInput, str], bool]
"""Whether a translation of a sentence may replace another one."""
Search = Callable[[Sequence[SentenceInput], Strategy[Any]], list[list[Hypothesis]]]
MAX_LOSS = 0.5
"""Maximum difference in nats per token to the first translation."""


@dataclass(frozen=True)
class MaskedHypothesis:
    """The translation of a masked sentence, and the same with the masked parts reinserted."""

    masked: Hypothesis
    complete: Hypothesis


SearchMasked = Callable[
    [Sequence[SentenceInput], Sequence[str], Sequence[Sequence[str]]], list[MaskedHypothesis | None]
]
"""Takes sentences, their texts, and the parts that each translation lost; see MaskedSearch."""


@dataclass(frozen=True)
class DecodedHypothesis:
    """A hypothesis with its text."""

    text: str
    hypothesis: Hypothesis
    annotation: Annotation | None = None


_Candidate = tuple[DecodedHypothesis, float]
"""A hypothesis, and the log-probability per token that is compared with that of the first translation."""


@dataclass(frozen=True)
class SentenceResult:
    """The hypotheses found for a sentence, best first."""

    hypotheses: list[DecodedHypothesis]
    problems: tuple[TranslationFinding, ...] = ()
    """Problems of the best hypothesis."""
    is_repaired: bool = False
    """Whether the best hypothesis is not the first one of the first search."""


def decode_hypotheses(found: Sequence[Sequence[Hypothesis]], decode: Decode) -> list[list[DecodedHypothesis]]:
    """Return hypotheses of sentences with their texts; of those with equal texts only the first."""
    texts = iter(decode([list(hypothesis.tokens) for hypotheses in found for hypothesis in hypotheses]))
    decoded = [[DecodedHypothesis(next(texts), hypothesis) for hypothesis in hypotheses] for hypotheses in found]
    return [distinct(each) for each in decoded]


class _HasText(Protocol):
    @property
    def text(self) -> str: ...


_Text = TypeVar("_Text", bound=_HasText)


def distinct(found: Iterable[_Text]) -> list[_Text]:
    """Return the first of each group with equal texts, in order."""
    by_text: dict[str, _Text] = {}
    for each in found:
        by_text.setdefault(each.text, each)
    return list(by_text.values())


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
        self,
        sentences: Sequence[SentenceInput],
        sources: Sequence[str],
        results: Sequence[SentenceResult],
        is_allowed: IsAllowed = lambda sentence, text: True,
    ) -> list[SentenceResult]:
        """Return the results, those with problems replaced by better ones if any were found.

        A better result has no problems and is nearly as likely as the first; or it has fewer problems and is at least
        as likely as what it replaces. All sentences with problems go through each retry together. The first retry masks
        text that must not change and that a translation lost. The other hypotheses of the first search are no
        candidates, so that the best does not depend on their number.

        Args:
            sources: The text of each sentence.
            is_allowed: Translations for which it is false are not candidates.
        """
        checked = [
            replace(result, problems=self._check(source, result.hypotheses[0].text))
            for source, result in zip(sources, results, strict=True)
        ]
        if not any(result.problems for result in checked):
            return checked
        bounds = [token_log_probability(result.hypotheses[0].hypothesis) - MAX_LOSS for result in results]
        self._retry_masked(sentences, sources, checked, bounds, is_allowed)
        for strategy in self._retries:
            failing = [index for index, result in enumerate(checked) if result.problems]
            if not strategy.can_force_phrases:
                failing = [index for index in failing if not sentences[index].constraints.forced_phrases]
            if not failing:
                break
            found = decode_hypotheses(self._search([sentences[index] for index in failing], strategy), self._decode)
            for index, others in zip(failing, found, strict=True):
                allowed = [each for each in others if is_allowed(sentences[index], each.text)]
                candidates = [(self._rescored(each), token_log_probability(each.hypothesis)) for each in allowed]
                checked[index] = self._better(sources[index], checked[index], candidates, bounds[index])
        return checked

    def _better(
        self, source: str, result: SentenceResult, candidates: Iterable[_Candidate], bound: float
    ) -> SentenceResult:
        """Return the result, with the best of the candidates as its first hypothesis if that is better."""
        best, problems = result.hypotheses[0], result.problems
        value = token_log_probability(best.hypothesis)
        for other, other_value in sorted(candidates, key=lambda each: each[1], reverse=True):
            found = self._check(source, other.text)
            is_better = other_value >= bound if not found else len(found) < len(problems) and other_value >= value
            if problems and is_better:
                best, problems, value = other, found, other_value
        if best is result.hypotheses[0]:
            return result
        rest = [each for each in result.hypotheses if each.text != best.text]
        return SentenceResult([best, *rest][: len(result.hypotheses)], problems, is_repaired=True)

    def _retry_masked(
        self,
        sentences: Sequence[SentenceInput],
        sources: Sequence[str],
        checked: list[SentenceResult],
        bounds: Sequence[float],
        is_allowed: IsAllowed,
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
        complete = decode_hypotheses([[each.complete] for each in found if each], self._decode)
        remaining = iter(complete)
        for index, masked in zip(failing, found, strict=True):
            if masked and is_allowed(sentences[index], (candidate := next(remaining)[0]).text):
                candidates = [(candidate, token_log_probability(masked.masked))]
                checked[index] = self._better(sources[index], checked[index], candidates, bounds[index])

    def _rescored(self, found: DecodedHypothesis) -> DecodedHypothesis:
        """Return a hypothesis with its score recomputed as in the first search, eos counted."""
        hypothesis = found.hypothesis
        score = normalize_score(hypothesis.log_probability, len(hypothesis.tokens) + 1, self._length_penalty)
        return replace(found, hypothesis=replace(hypothesis, score=score))


def token_log_probability(hypothesis: Hypothesis) -> float:
    """Return the mean log-probability of the tokens of a hypothesis, eos counted, in nats."""
    return normalize_score(hypothesis.log_probability, len(hypothesis.tokens) + 1, length_penalty=1.0)


class MaskedSearch:
    """Masks text that the model does not reproduce, searches, and reinserts it by word alignment."""

    def __init__(self, generator: Generator, tokenizer: Tokenizer, strategy: Strategy[Any]) -> None:
        self._generator, self._tokenizer, self._strategy = generator, tokenizer, strategy

    def __call__(
        self, sentences: Sequence[SentenceInput], sources: Sequence[str], lost: Sequence[Sequence[str]]
    ) -> list[MaskedHypothesis | None]:
        """Return the best translation of each sentence, without the lost text and with it.

        An entry is None if nothing is left of its sentence. All are None if the model has no attention, or if it uses
        source factors, which belong to whole words.

        Args:
            sources: The text of each sentence.
            lost: The parts of each text that are missing from its translation.
        """
        if self._tokenizer.factors.names:
            return [None] * len(sentences)
        patterns = ["|".join(map(re.escape, sorted(each, key=len, reverse=True))) for each in lost]
        masked = [
            mask_spans(MaskedLine(source), pattern_spans(re.compile(pattern)))
            for source, pattern in zip(sources, patterns, strict=True)
        ]
        rows = self._tokenizer.encode_source([each.text for each in masked])
        indices = [index for index, row in enumerate(rows) if row]
        inputs = with_copies(
            self._tokenizer,
            [replace(sentences[index], tokens=rows[index]) for index in indices],
            [masked[index].text for index in indices],
            is_needed=any(each.copies for each in sentences),
        )
        found = self._generator.search(inputs, self._strategy)
        best = [hypotheses[0].tokens for hypotheses in found]
        texts = self._tokenizer.decode_target([list(tokens) for tokens in best])
        annotator = Annotator(self._generator, self._tokenizer, self._strategy.settings.batch_tokens, alignment=True)
        try:
            annotations = annotator.annotate(
                [
                    AnnotationInput(masked[index].text, sentence, text, tokens)
                    for index, sentence, text, tokens in zip(indices, inputs, texts, best, strict=True)
                ]
            )
        except ModelError:  # no attention
            return [None] * len(sentences)
        complete = [
            reinsert_markup(masked[index], text, annotation.alignment or (), str)
            for index, text, annotation in zip(indices, texts, annotations, strict=True)
        ]
        scored = score_texts(
            self._generator, self._tokenizer, self._strategy.settings, [sentences[index] for index in indices], complete
        )
        by_index = {
            index: MaskedHypothesis(hypotheses[0], complete_one)
            for index, hypotheses, complete_one in zip(indices, found, scored, strict=True)
        }
        return [by_index.get(index) for index in range(len(sentences))]
