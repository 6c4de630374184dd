"""Scoring of pairs of lines: the log-probability of each target as a translation of its source."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nmt_cli.console import OnProgress
from nmt_cli.data.alignments import words_of
from nmt_cli.data.context import DocumentContext, sliding_window
from nmt_cli.data.factors import segment_factors
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import NO_TAGS, SourceTags
from nmt_cli.decoding.generator import Generator
from nmt_cli.decoding.scoring.annotation import sum_word_scores, target_word_indices
from nmt_cli.decoding.scoring.targets import TargetScores
from nmt_cli.decoding.search.hypotheses import normalize_score
from nmt_cli.decoding.sentences import SentenceInput, with_copies
from nmt_cli.recipe.decoding import SearchSettings
from nmt_cli.text.normalization import is_blank

MAX_SIDE_TOKENS = 2500
"""Maximum subwords of a side. Longer pairs are not scored: they are not a sentence and its translation."""


@dataclass(frozen=True)
class ScoringPair:
    """A source and a translation of it, as raw text."""

    source: str
    target: str
    factors: Mapping[str, str] = field(default_factory=dict)
    """By name, the values of a factor for each word of the source, separated by spaces."""
    context: tuple["ScoringPair", ...] = ()
    """The pairs before it in its document, for a model that translates in context."""


def with_context(pairs: Iterable[ScoringPair], count: int) -> Iterator[ScoringPair]:
    """Yield each pair with at most `count` pairs before it. A pair that is blank on both sides ends a document."""
    for pair, context in sliding_window(pairs, count, lambda each: is_blank(each.source) and is_blank(each.target)):
        yield replace(pair, context=context)


@dataclass(frozen=True)
class ScoredPair:
    """A pair and its scores."""

    pair: ScoringPair
    log_probability: float
    """Natural logarithm, eos included; see `Scorer.score_window` for blank and overlong sides."""
    length: int
    """Target subwords, eos included."""
    score: float
    """log_probability / length^length_penalty, as search ranks."""
    word_scores: tuple[float, ...]
    """The log-probability of each target word, then of eos. Words are separated by spaces and tabs."""


class Scorer:
    """Scores pairs with one model."""

    def __init__(
        self,
        generator: Generator,
        tokenizer: Tokenizer,
        settings: SearchSettings,
        tags: SourceTags = NO_TAGS,
        context: DocumentContext | None = None,
    ) -> None:
        """Create a scorer.

        Args:
            tags: Tokens around each source and before each target.
            context: How the model reads lines in context; without it, the context of a pair is ignored.
        """
        self.tokenizer, self.settings = tokenizer, settings
        self._generator, self._tags = generator, tags
        self._tag_ids, self._prompt = tags.ids(), tags.prompt()
        self._context = context or DocumentContext(tokenizer, None, MAX_SIDE_TOKENS)

    def score_window(
        self, pairs: Sequence[ScoringPair], first_line: int = 1, on_progress: OnProgress = lambda pairs: None
    ) -> list[ScoredPair]:
        """Score pairs together. Their context is given to the model, but not scored.

        The model scores only pairs with text on both sides. The log-probability is 0 if both sides are blank, as a
        blank line is always translated as a blank line. It is -inf if one side is blank, or longer than
        MAX_SIDE_TOKENS.

        Args:
            first_line: Line number of the first pair, for messages.
            on_progress: Called with the number of pairs of each batch.
        """
        sources = self.tokenizer.encode_source([pair.source for pair in pairs])
        targets = self.tokenizer.encode_target([pair.target for pair in pairs], oov=True)
        blank = [
            (not source or is_blank(pair.source), not target or is_blank(pair.target))
            for pair, source, target in zip(pairs, sources, targets, strict=True)
        ]
        scorable = [
            index
            for index, sides in enumerate(blank)
            if not any(sides) and max(len(sources[index]), len(targets[index])) <= MAX_SIDE_TOKENS
        ]
        contexts = self._contexts([pairs[index] for index in scorable], [len(sources[index]) for index in scorable])
        sentences = [
            self._sentence(first_line + index, pairs[index], sources[index], context)
            for index, (context, _) in zip(scorable, contexts, strict=True)
        ]
        scores = self._generator.score(
            with_copies(self.tokenizer, sentences, [pairs[index].source for index in scorable]),
            [[*context, *targets[index]] for index, (_, context) in zip(scorable, contexts, strict=True)],
            self.settings.batch_tokens,
            on_progress=on_progress,
        )
        found = {
            index: replace(each, token_log_probs=each.token_log_probs[len(context) :])
            for index, each, (_, context) in zip(scorable, scores, contexts, strict=True)
        }
        return [
            self._scored(pair, targets[index], found[index]) if index in found else _unscored(pair, all(blank[index]))
            for index, pair in enumerate(pairs)
        ]

    def _contexts(
        self, pairs: Sequence[ScoringPair], lengths: Sequence[int]
    ) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Return the tokens before source and target of each pair.

        Args:
            lengths: Source tokens of each pair, which limit its context.
        """
        fitting = self._context.fit([[each.source for each in pair.context] for pair in pairs], lengths)
        kept = [pair.context[len(pair.context) - len(rows) :] for pair, rows in zip(pairs, fitting, strict=True)]
        lines = list(dict.fromkeys(each.target for context in kept for each in context))
        tokens = dict(zip(lines, self.tokenizer.encode_target(lines), strict=True))
        return [
            (self._context.source_prefix(rows), self._context.target_prefix([tokens[each.target] for each in context]))
            for rows, context in zip(fitting, kept, strict=True)
        ]

    def _sentence(self, line: int, pair: ScoringPair, tokens: list[int], context: tuple[int, ...]) -> SentenceInput:
        segment = (0, len(pair.source), tokens)
        (columns,) = segment_factors(self.tokenizer, line, pair.source, pair.factors, [segment])
        tags, suffix = (*self._tag_ids, *context), self._tags.suffix
        return SentenceInput(line, tokens, tags=tags, columns=columns, prompt=self._prompt, suffix=suffix)

    def _scored(self, pair: ScoringPair, tokens: list[int], scores: TargetScores) -> ScoredPair:
        length = len(tokens) + 1
        score = normalize_score(scores.log_probability, length, self.settings.length_penalty)
        words = target_word_indices(self.tokenizer, pair.target, tokens)
        word_scores = sum_word_scores(len(words_of(pair.target)), words, scores.token_log_probs)
        return ScoredPair(pair, scores.log_probability, length, score, word_scores)


def _unscored(pair: ScoringPair, is_certain: bool) -> ScoredPair:
    value = 0.0 if is_certain else -math.inf
    return ScoredPair(pair, value, 1, value, (*[value] * len(words_of(pair.target)), value))
