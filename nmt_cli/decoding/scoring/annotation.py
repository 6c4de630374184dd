"""Word alignments and word scores of translations that search found, from one pass of teacher forcing."""

from collections.abc import Sequence
from dataclasses import dataclass

from nmt_cli.data.alignments import word_at, words_of
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.generator import Generator
from nmt_cli.decoding.scoring.alignment import Link, decoded_word_indices, source_word_indices, word_alignment
from nmt_cli.decoding.scoring.targets import TargetScores
from nmt_cli.decoding.search.hypotheses import Hypothesis, normalize_score
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.errors import ModelError
from nmt_cli.recipe.decoding import SearchSettings


@dataclass(frozen=True)
class AnnotationInput:
    """A source sentence and a translation of it, both as text and in tokens."""

    source: str
    sentence: SentenceInput
    target: str
    tokens: Sequence[int]


@dataclass(frozen=True)
class Annotation:
    """Values of the words of a translation. Words are separated by spaces and tabs."""

    alignment: tuple[Link, ...] | None = None
    word_scores: tuple[float, ...] | None = None
    """The log-probability of each word, then of eos."""


class Annotator:
    """Aligns the words of translations, scores them, or both."""

    def __init__(
        self,
        generator: Generator,
        tokenizer: Tokenizer,
        batch_tokens: int,
        alignment: bool = False,
        word_scores: bool = False,
    ) -> None:
        self._generator, self._tokenizer, self._batch_tokens = generator, tokenizer, batch_tokens
        self._has_alignment, self._has_word_scores = alignment, word_scores

    def annotate(self, inputs: Sequence[AnnotationInput]) -> list[Annotation]:
        """Annotate each translation.

        Raises:
            ModelError: Alignments are requested and the model has no attention.
        """
        sentences, targets = [each.sentence for each in inputs], [each.tokens for each in inputs]
        scores = self._generator.score(sentences, targets, self._batch_tokens, self._has_alignment)
        return [self._annotation(each, score) for each, score in zip(inputs, scores, strict=True)]

    def join(
        self, text: str, line: str, starts: Sequence[tuple[int, int]], annotations: Sequence[Annotation]
    ) -> Annotation:
        """Join the annotations of a line's segments.

        The scores of a word that is split between segments are added, and so are those of eos.

        Args:
            starts: For each segment, the character where it begins in `line` and where its translation begins in
                `text`.
        """
        scores, links, eos_score = [0.0] * len(words_of(text)), dict[Link, None](), 0.0
        for (source_start, target_start), annotation in zip(starts, annotations, strict=True):
            source, target = word_at(line, source_start), word_at(text, target_start)
            links |= {(source + one, target + other): None for one, other in annotation.alignment or ()}
            *segment_scores, segment_eos = annotation.word_scores or (0.0,)
            for word, value in enumerate(segment_scores, target):
                scores[word] += value
            eos_score += segment_eos
        return self._requested(tuple(links), (*scores, eos_score))

    def _annotation(self, given: AnnotationInput, scores: TargetScores) -> Annotation:
        target_words = decoded_word_indices(self._tokenizer, given.target, given.tokens)
        links: list[Link] = []
        if self._has_alignment:
            if scores.cross_attention is None:
                raise ModelError("this model has no attention, so it cannot align words; leave out --alignment")
            source_words = source_word_indices(self._tokenizer, given.source, given.sentence.tokens)
            links = word_alignment(scores.cross_attention, source_words, target_words)
        return self._requested(
            tuple(links), sum_word_scores(len(words_of(given.target)), target_words, scores.token_log_probs)
        )

    def _requested(self, links: tuple[Link, ...], scores: tuple[float, ...]) -> Annotation:
        return Annotation(links if self._has_alignment else None, scores if self._has_word_scores else None)


def sum_word_scores(
    num_words: int, words: Sequence[Sequence[int]], token_log_probs: Sequence[float]
) -> tuple[float, ...]:
    """Sum token log-probabilities over words; that of eos, the last, stays last.

    A token that belongs to several words counts for the first of them, one that belongs to none for the word before.

    Args:
        words: Word indices of each token, without eos.
        token_log_probs: [T+1], eos last.
    """
    scores, word = [0.0] * max(1, num_words), 0
    for indices, value in zip(words, token_log_probs, strict=False):
        word = indices[0] if indices else word
        scores[word] += value
    return (*scores[:num_words], token_log_probs[-1])


def score_texts(
    generator: Generator,
    tokenizer: Tokenizer,
    settings: SearchSettings,
    sentences: Sequence[SentenceInput],
    texts: Sequence[str],
) -> list[Hypothesis]:
    """Return each text, a translation of the sentence beside it, as a hypothesis scored by teacher forcing."""
    rows = tokenizer.encode_target(list(texts))
    scores = generator.score(sentences, rows, settings.batch_tokens)
    return [
        Hypothesis(
            tuple(row),
            each.log_probability,
            normalize_score(each.log_probability, len(row) + 1, settings.length_penalty),
        )
        for row, each in zip(rows, scores, strict=True)
    ]
