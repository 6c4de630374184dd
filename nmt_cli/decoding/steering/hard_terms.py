"""Hard terms in their place: where a translation without them says something else for their source terms."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.batching import Searcher
from nmt_cli.decoding.scoring.alignment import Link
from nmt_cli.decoding.scoring.annotation import AnnotationInput, Annotator, score_texts
from nmt_cli.decoding.search.hypotheses import Hypothesis, best_first
from nmt_cli.decoding.sentences import HardTerm, Sentence
from nmt_cli.errors import ModelError
from nmt_cli.recipe.decoding import SearchSettings
from nmt_cli.text.word_boundaries import character_class, split_words

Search = Callable[[Sequence[Sentence], Callable[[int], object]], list[list[Hypothesis]]]

Place = tuple[int, int]
"""Characters of a translation."""

_WORD = re.compile(r"[^ \t]+")


@dataclass(frozen=True)
class Unsaid:
    """A term that is still to be put in, and where it may go."""

    target: str
    places: tuple[Place, ...]


class HardTerms:
    """Searches for sentences with hard terms.

    They are first searched for as if they had none: mostly a translation holds the terms anyway. If not, terms go where
    word alignment finds that it says the source terms. Search with constraints would find a place for what the model
    nearly says; what it does not know is unlikely anywhere, and ends up behind all else. So that is for what alignment
    cannot place (benchmarks/results/glossary.md).
    """

    def __init__(self, searcher: Searcher, tokenizer: Tokenizer, settings: SearchSettings) -> None:
        self._searcher, self._tokenizer, self._settings = searcher, tokenizer, settings

    def search(
        self,
        sentences: Sequence[Sentence],
        sources: Sequence[str],
        search: Search,
        searched: Callable[[int], object] = lambda sentences: None,
    ) -> list[list[Hypothesis]]:
        """At least one hypothesis of each sentence, given as text too, best first; `searched` hears once of each."""
        found = search([replace(each, wishes=each.wishes.without_terms()) for each in sentences], searched)
        lacking = [
            place
            for place, sentence in enumerate(sentences)
            if sentence.wishes.terms and not all(self._grants(sentence, each) for each in found[place])
        ]
        said = [
            (place, AnnotationInput(sources[place], sentences[place], text, each.tokens))
            for place in lacking
            for each, text in zip(found[place], self._texts(found[place]), strict=True)
        ]
        changed = self._substituted([each for _, each in said])
        for place in lacking:
            kept = [each for each in found[place] if self._grants(sentences[place], each)]
            others = [other for (at, _), other in zip(said, changed, strict=True) if at == place and other is not None]
            distinct = {each.tokens: each for each in (*others, *kept)}
            found[place] = best_first(distinct.values())
        rest = [place for place in lacking if not found[place]]
        if rest:
            again = search([sentences[place] for place in rest], lambda sentences: None)
            for place, hypotheses in zip(rest, again, strict=True):
                found[place] = hypotheses
        return found

    def _substituted(self, said: Sequence[AnnotationInput]) -> list[Hypothesis | None]:
        """Translations with their terms put in; None where that cannot be."""
        annotator = Annotator(self._searcher, self._tokenizer, self._settings.batch_tokens, alignment=True)
        try:
            links = [each.alignment or () for each in annotator.annotate(said)]
        except ModelError:  # no attention
            return [None] * len(said)
        unsaid = [
            unsaid_terms(each.source, each.target, some, each.sentence.wishes.terms)
            for each, some in zip(said, links, strict=True)
        ]
        able = [place for place, terms in enumerate(unsaid) if all(each.places for each in terms)]
        texts = self._best_places([said[place] for place in able], [unsaid[place] for place in able])
        sure = [(place, text) for place, text in zip(able, texts, strict=True) if text is not None]
        given = self._given([(said[place].sentence, text) for place, text in sure])
        known = {place: other for (place, _), other in zip(sure, given, strict=True)}
        return [
            other if (other := known.get(place)) and self._grants(each.sentence, other) else None
            for place, each in enumerate(said)
        ]

    def _best_places(self, said: Sequence[AnnotationInput], unsaid: Sequence[Sequence[Unsaid]]) -> list[str | None]:
        """Translations with each term put where, alone, it is likeliest; None where two would go to the same words."""
        trials = [
            (each.sentence, _replaced(each.target, {place: term.target}))
            for each, terms in zip(said, unsaid, strict=True)
            for term in terms
            for place in term.places
        ]
        likely = iter(self._given(trials))
        changed = list[str | None]()
        for each, terms in zip(said, unsaid, strict=True):
            chosen = list[tuple[Place, str]]()
            for term in terms:
                found = {place: next(likely).log_probability for place in term.places}
                chosen.append((max(found, key=found.__getitem__), term.target))
            ordered = sorted(place for place, _ in chosen)
            apart = all(one[1] <= other[0] for one, other in pairwise(ordered))
            changed.append(_replaced(each.target, dict(chosen)) if apart else None)
        return changed

    def _given(self, pairs: Sequence[tuple[Sentence, str]]) -> list[Hypothesis]:
        sentences, texts = [sentence for sentence, _ in pairs], [text for _, text in pairs]
        return score_texts(self._searcher, self._tokenizer, self._settings, sentences, texts)

    def _texts(self, hypotheses: Sequence[Hypothesis]) -> list[str]:
        return self._tokenizer.decode_target([list(each.tokens) for each in hypotheses])

    def _grants(self, sentence: Sentence, hypothesis: Hypothesis) -> bool:
        return self._searcher.grants(sentence.wishes, hypothesis.tokens)


def unsaid_terms(source: str, target: str, links: Sequence[Link], terms: Sequence[HardTerm]) -> list[Unsaid]:
    """Those terms that a translation does not say, where its words answer to the source term or else anywhere."""
    found = [Unsaid(term.target, _places(source, target, links, term)) for term in terms]
    free = Counter({term.target: _times(term.target, target) for term in terms})
    elsewhere = list[Unsaid]()
    for term in found:
        if any(_times(term.target, target[start:end]) for start, end in term.places):
            free[term.target] -= 1
        else:
            elsewhere.append(term)
    unsaid = list[Unsaid]()
    for term in elsewhere:
        if free[term.target] > 0:
            free[term.target] -= 1
        else:
            unsaid.append(term)
    return unsaid


def _places(source: str, target: str, links: Sequence[Link], term: HardTerm) -> tuple[Place, ...]:
    """The words which answer to a source term, each alone and all in a row together, signs around them left out.

    None if the term is but a part of a word, such as "bike" of "bike-rack".
    """
    said = set[int]()
    for number, (start, end) in enumerate(_spans(source)):
        if start < term.end and term.start < end:
            if _has_letters(source[start : term.start] + source[term.end : end]):
                return ()
            said.add(number)
    words_there = _spans(target)
    answers = {other for one, other in links if one in said}
    places = dict[Place, None]()
    for first in sorted(answers):
        last = first
        while last in answers:
            start, end = words_there[first][0], words_there[last][1]
            inner = [place for place in range(start, end) if _has_letters(target[place])]
            if inner and not any(character_class(character) == "unspaced" for character in target[start:end]):
                places[inner[0], inner[-1] + 1] = None
            last += 1
    return tuple(places)


def _replaced(text: str, words: Mapping[Place, str]) -> str:
    for start, end in sorted(words, reverse=True):
        text = text[:start] + words[start, end] + text[end:]
    return text


def _spans(text: str) -> list[Place]:
    return [found.span() for found in _WORD.finditer(text)]


def _has_letters(text: str) -> bool:
    return any(character_class(character) in ("word", "unspaced") for character in text)


def _times(phrase: str, text: str) -> int:
    """How often a text says a phrase, as whole words."""
    wanted, given = ([word.text for word in split_words(each)] for each in (phrase, text))
    return sum(given[start : start + len(wanted)] == wanted for start in range(len(given) - len(wanted) + 1))
