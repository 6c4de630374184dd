"""Given pairs of lines in, what the model thinks of each out: how likely the one is as translation of the other."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nmt_cli.data.alignments import words_of
from nmt_cli.data.context import DocumentContext, sliding_window
from nmt_cli.data.factors import segment_factors
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.batching import Searcher
from nmt_cli.decoding.forced import Forced
from nmt_cli.decoding.forced.word_places import given_target_words
from nmt_cli.decoding.pieces import is_blank
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.recipe.decoding import SearchSettings

LONGEST_SIDE = 2500
"""Subwords; a pair with a longer side is no sentence and its translation, and is not asked for."""


@dataclass(frozen=True)
class Pair:
    """A source and a translation of it, as the user gave them."""

    source: str
    target: str
    factors: Mapping[str, str] = field(default_factory=dict)
    """By name, a value of a factor for each word of the source, with spaces between."""
    before: tuple["Pair", ...] = ()
    """The pairs before it in its document, for a model that translates in their context."""


def pairs_in_documents(pairs: Iterable[Pair], count: int) -> Iterator[Pair]:
    """Pairs that know those before them, `count` at most; a pair that is blank on both sides ends a document."""
    for pair, before in sliding_window(pairs, count, lambda each: is_blank(each.source) and is_blank(each.target)):
        yield replace(pair, before=before)


@dataclass(frozen=True)
class ScoredPair:
    """What the model thinks of a pair."""

    pair: Pair
    log_probability: float
    """Natural logarithm, the end of the translation included; minus infinity for what no model is asked."""
    length: int
    """Of the target in subwords, its end counted."""
    score: float
    """What would rank it in search: log_probability / length^length_penalty."""
    words: tuple[float, ...]
    """The log-probability of each word of the target, between spaces and tabs, and at last of its end."""


class Scorer:
    """Scores pairs with one model, as it would say them."""

    def __init__(
        self,
        searcher: Searcher,
        tokenizer: Tokenizer,
        settings: SearchSettings,
        tags: tuple[int, ...] = (),
        joining: DocumentContext | None = None,
    ) -> None:
        """`tags` stand before each source; without `joining`, what is before a pair does not matter."""
        self.tokenizer, self.settings = tokenizer, settings
        self._searcher, self._tags = searcher, tags
        self._joining = joining or DocumentContext(tokenizer, None, LONGEST_SIDE)

    def score_window(
        self, pairs: Sequence[Pair], first: int = 1, scored: Callable[[int], object] = lambda pairs: None
    ) -> list[ScoredPair]:
        """Score these pairs together; `first` is the number of the first, for messages; `scored` hears of batches.

        As in translation, a line without visible text becomes nothing, for certain, and only such a line does: where
        both sides are blank, the log-probability is 0; where one is, it is minus infinity. So it is where a side is
        longer than LONGEST_SIDE.

        What is before a pair in its document is given; it is not scored with it.
        """
        sources = self.tokenizer.encode_source([pair.source for pair in pairs])
        targets = self.tokenizer.encode_target([pair.target for pair in pairs])
        blank = [
            (not source or is_blank(pair.source), not target or is_blank(pair.target))
            for pair, source, target in zip(pairs, sources, targets, strict=True)
        ]
        asked = [
            place
            for place, either in enumerate(blank)
            if not any(either) and max(len(sources[place]), len(targets[place])) <= LONGEST_SIDE
        ]
        before = self._before([pairs[place] for place in asked], [len(sources[place]) for place in asked])
        forced = self._searcher.forced(
            [
                self._sentence(first + place, pairs[place], sources[place], given)
                for place, (given, _) in zip(asked, before, strict=True)
            ],
            [[*given, *targets[place]] for place, (_, given) in zip(asked, before, strict=True)],
            self.settings.batch_tokens,
            forced=scored,
        )
        found = {
            place: replace(each, log_probabilities=each.log_probabilities[len(given) :])
            for place, each, (_, given) in zip(asked, forced, before, strict=True)
        }
        return [
            self._scored(pair, targets[place], found[place]) if place in found else _unasked(pair, all(blank[place]))
            for place, pair in enumerate(pairs)
        ]

    def _before(self, pairs: Sequence[Pair], lengths: Sequence[int]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """What stands before source and target of each pair, whose sources are so long."""
        fitting = self._joining.fit([[each.source for each in pair.before] for pair in pairs], lengths)
        kept = [pair.before[len(pair.before) - len(rows) :] for pair, rows in zip(pairs, fitting, strict=True)]
        lines = list(dict.fromkeys(each.target for several in kept for each in several))
        tokens = dict(zip(lines, self.tokenizer.encode_target(lines), strict=True))
        return [
            (self._joining.source_prefix(rows), self._joining.target_prefix([tokens[each.target] for each in several]))
            for rows, several in zip(fitting, kept, strict=True)
        ]

    def _sentence(self, number: int, pair: Pair, tokens: list[int], before: tuple[int, ...]) -> Sentence:
        whole = (0, len(pair.source), tokens)
        (columns,) = segment_factors(self.tokenizer, number, pair.source, pair.factors, [whole])
        return Sentence(number, tokens, tags=(*self._tags, *before), columns=columns)

    def _scored(self, pair: Pair, tokens: list[int], forced: Forced) -> ScoredPair:
        length = len(tokens) + 1
        score = forced.log_probability / length**self.settings.length_penalty
        places = given_target_words(self.tokenizer, pair.target, tokens)
        words = word_scores(len(words_of(pair.target)), places, forced.log_probabilities)
        return ScoredPair(pair, forced.log_probability, length, score, words)


def word_scores(count: int, words: Sequence[Sequence[int]], log_probabilities: Sequence[float]) -> tuple[float, ...]:
    """Log-probabilities of tokens added up over the `count` words that they belong to; the end's, the last, stays last.

    A token that several words share, or none has, counts for the first of them, or for the word before.
    """
    scores, word = [0.0] * max(1, count), 0
    for places, value in zip(words, log_probabilities, strict=False):
        word = places[0] if places else word
        scores[word] += value
    return (*scores[:count], log_probabilities[-1])


def _unasked(pair: Pair, certain: bool) -> ScoredPair:
    value = 0.0 if certain else -math.inf
    return ScoredPair(pair, value, 1, value, (*[value] * len(words_of(pair.target)), value))
