"""Word alignments and word scores of translations, from one pass of teacher forcing, and the words of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Self

import torch
from torch import Tensor

from nmt_cli.data.alignments import normalized_indices, overlapping_indices, word_at, words_of
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.decoding.generator import Generator
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.decoding.scoring.targets import TargetScores
from nmt_cli.decoding.search.hypotheses import Hypothesis, normalize_score
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.errors import ModelError
from nmt_cli.recipe.decoding import SearchSettings

Link = tuple[int, int]
"""0-based indices of a source word and of a word of its translation. Words are separated by spaces and tabs."""


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
    copy_probabilities: tuple[tuple[str, float], ...] | None = None
    """Each token, and the probability with which the model copied a source token there, beside the word scores of a
    model that copies."""


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

    @classmethod
    def for_options(
        cls, options: TranslateOptions, generator: Generator, tokenizer: Tokenizer, batch_tokens: int
    ) -> Self:
        """Return an annotator for the options of a translation; masked markup also needs alignments."""
        has_alignment = options.alignment or options.has_masking
        return cls(generator, tokenizer, batch_tokens, alignment=has_alignment, word_scores=options.word_scores)

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
        copied = list[tuple[str, float]]()
        for (source_start, target_start), annotation in zip(starts, annotations, strict=True):
            source, target = word_at(line, source_start), word_at(text, target_start)
            links |= {(source + one, target + other): None for one, other in annotation.alignment or ()}
            *segment_scores, segment_eos = annotation.word_scores or (0.0,)
            for word, value in enumerate(segment_scores, target):
                scores[word] += value
            eos_score += segment_eos
            copied += annotation.copy_probabilities or ()
        return self._requested(tuple(links), (*scores, eos_score), copied or None)

    def _annotation(self, given: AnnotationInput, scores: TargetScores) -> Annotation:
        target_words = decoded_word_indices(self._tokenizer, given.target, given.tokens)
        links: list[Link] = []
        if self._has_alignment:
            if scores.cross_attention is None:
                raise ModelError("this model has no attention, so it cannot align words")
            source_words = source_word_indices(self._tokenizer, given.source, given.sentence.tokens)
            links = word_alignment(scores.cross_attention, source_words, target_words)
        copied = None
        if scores.copy_probabilities is not None:
            pieces = map(self._tokenizer.target.text_of, given.tokens)
            copied = list(zip(pieces, scores.copy_probabilities, strict=False))
        return self._requested(
            tuple(links), sum_word_scores(len(words_of(given.target)), target_words, scores.token_log_probs), copied
        )

    def _requested(
        self, links: tuple[Link, ...], scores: tuple[float, ...], copied: Sequence[tuple[str, float]] | None
    ) -> Annotation:
        if not self._has_word_scores:
            return Annotation(links if self._has_alignment else None)
        return Annotation(links if self._has_alignment else None, scores, None if copied is None else tuple(copied))


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
    rows = tokenizer.encode_target(list(texts), oov=True)
    scores = generator.score(sentences, rows, settings.batch_tokens)
    return [
        Hypothesis(
            tuple(row),
            each.log_probability,
            normalize_score(each.log_probability, len(row) + 1, settings.length_penalty),
        )
        for row, each in zip(rows, scores, strict=True)
    ]


def word_alignment(
    attention: Tensor, source_words: Sequence[Sequence[int]], target_words: Sequence[Sequence[int]]
) -> list[Link]:
    """Link each word of a translation to the source word that has the most attention. Sorted by target word.

    Args:
        attention: [T+1,S+1] of the tokens, eos last. It is not shifted: a model attends to a word while it generates
            its translation, and training with `guided_alignment` teaches it to. Attention is summed over the tokens of
            each word; eos is not a word, and a word without visible tokens has no link.
        source_words: Indices of the words of each source token, from `source_word_indices`.
        target_words: The same for target tokens.
    """
    weights = _sum_by_word(
        _sum_by_word(attention[: len(target_words), : len(source_words)], target_words).T, source_words
    ).T
    best = weights.argmax(1).tolist() if weights.numel() else []
    return [(source, target) for target, source in enumerate(best) if weights[target, source] > 0]


def source_word_indices(tokenizer: Tokenizer, text: str, tokens: Sequence[int]) -> list[list[int]]:
    """Return, for each token of a raw source text, the 0-based indices of the words it belongs to, most often one.

    A token belongs to several words where normalisation removes the space between them.
    """
    return _word_indices(tokenizer, tokenizer.source, text, tokens)


def target_word_indices(tokenizer: Tokenizer, text: str, tokens: Sequence[int]) -> list[list[int]]:
    """Return the same as `source_word_indices`, for a raw target text."""
    return _word_indices(tokenizer, tokenizer.target, text, tokens)


def decoded_word_indices(tokenizer: Tokenizer, text: str, tokens: Sequence[int]) -> list[list[int]]:
    """Return the same as `source_word_indices`, for a translation in tokens and the text they were decoded to."""
    segmenter_words = _segmenter_word_indices(tokenizer.target, tokens)
    starts = [
        position
        for position, word in enumerate(segmenter_words)
        if position == 0 or word != segmenter_words[position - 1]
    ]
    rows = [list(tokens[begin:end]) for begin, end in pairwise([*starts, len(tokens)])]
    words = words_of(text)
    spelled = overlapping_indices(tokenizer.decode_target(rows), words)
    return [[word for word in spelled[index] if word < len(words)] for index in segmenter_words]


def _word_indices(tokenizer: Tokenizer, vocabulary: Vocabulary, text: str, tokens: Sequence[int]) -> list[list[int]]:
    normal = tokenizer.normalize(text)
    raw: list[list[int]] = [[] for _ in normal.split(" ")]
    for word, normal_indices in enumerate(normalized_indices(text, normal, tokenizer.normalize)):
        for index in normal_indices:
            raw[index].append(word)
    return [raw[min(index, len(raw) - 1)] for index in _segmenter_word_indices(vocabulary, tokens)]


def _segmenter_word_indices(vocabulary: Vocabulary, tokens: Sequence[int]) -> list[int]:
    """Return the index of each token's word as the segmenter counts words: by spaces and starts of words."""
    first = int(vocabulary.segmenter.marks_first_word)
    return [max(0, count - first) for count in accumulate(map(vocabulary.num_word_starts, tokens))]


def _sum_by_word(weights: Tensor, words: Sequence[Sequence[int]]) -> Tensor:
    """Sum rows [n,·], one per token, to rows [w,·], one per word."""
    pairs = [(position, word) for position, indices in enumerate(words) for word in indices]
    num_words = 1 + max((word for _, word in pairs), default=-1)
    summed = torch.zeros(num_words, weights.size(1))
    if pairs:
        positions, indices = torch.tensor(pairs).T
        summed.index_add_(0, indices, weights.float()[positions])
    return summed
