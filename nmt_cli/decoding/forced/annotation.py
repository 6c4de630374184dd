"""Translations in words: to which words of the source theirs answer, and how likely each was."""

from collections.abc import Sequence
from dataclasses import dataclass

from nmt_cli.data.alignments import word_at, words_of
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.batching import Searcher
from nmt_cli.decoding.forced import Forced
from nmt_cli.decoding.forced.alignment import Link, word_alignment
from nmt_cli.decoding.forced.scoring import word_scores
from nmt_cli.decoding.forced.word_places import source_words, target_words
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.errors import ModelError


@dataclass(frozen=True)
class Said:
    """A sentence as text and in tokens, and a translation of it as text and in tokens."""

    source: str
    sentence: Sentence
    target: str
    tokens: Sequence[int]


@dataclass(frozen=True)
class Wanted:
    """What is to be known of words."""

    alignment: bool
    word_scores: bool


NOTHING = Wanted(alignment=False, word_scores=False)


@dataclass(frozen=True)
class Annotation:
    """What is known of the words of a translation; words stand between spaces and tabs."""

    alignment: tuple[Link, ...] | None = None
    word_scores: tuple[float, ...] | None = None
    """The log-probability of each word, and at last of the end."""


class Annotator:
    """Annotates what one model has said, by one forced decoding."""

    def __init__(self, searcher: Searcher, tokenizer: Tokenizer, batch_tokens: int, wanted: Wanted) -> None:
        self._searcher, self._tokenizer = searcher, tokenizer
        self._batch_tokens, self.wanted = batch_tokens, wanted

    def annotate(self, said: Sequence[Said]) -> list[Annotation]:
        """ModelError if words are to be aligned and the model has no attention."""
        sentences, rows = [each.sentence for each in said], [each.tokens for each in said]
        forced = self._searcher.forced(sentences, rows, self._batch_tokens, self.wanted.alignment)
        return [self._annotation(each, found) for each, found in zip(said, forced, strict=True)]

    def joined(
        self, text: str, line: str, parts: Sequence[tuple[int, int]], annotations: Sequence[Annotation]
    ) -> Annotation:
        """The annotations of a line's pieces as one.

        `parts` say where in the line each piece begins, and where in `text` its translation. A word that is cut in two
        adds up, and so do the ends.
        """
        scores, links, end = [0.0] * len(words_of(text)), dict[Link, None](), 0.0
        for (source_start, target_start), annotation in zip(parts, annotations, strict=True):
            source, target = word_at(line, source_start), word_at(text, target_start)
            links |= {(source + one, target + other): None for one, other in annotation.alignment or ()}
            *of_words, of_end = annotation.word_scores or (0.0,)
            for place, value in enumerate(of_words, target):
                scores[place] += value
            end += of_end
        return self._wanted(tuple(links), (*scores, end))

    def _annotation(self, said: Said, forced: Forced) -> Annotation:
        targets = target_words(self._tokenizer, said.target, said.tokens)
        links: list[Link] = []
        if self.wanted.alignment:
            if forced.attention is None:
                raise ModelError("this model has no attention, so it cannot align words; leave out --alignment")
            sources = source_words(self._tokenizer, said.source, said.sentence.tokens)
            links = word_alignment(forced.attention, sources, targets)
        scores = word_scores(len(words_of(said.target)), targets, forced.log_probabilities)
        return self._wanted(tuple(links), scores)

    def _wanted(self, links: tuple[Link, ...], scores: tuple[float, ...]) -> Annotation:
        return Annotation(links if self.wanted.alignment else None, scores if self.wanted.word_scores else None)
