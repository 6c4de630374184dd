"""Hard terms said in their place: by search, or put where a translation without them says something else."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.batching import Searcher
from nmt_cli.decoding.forced.alignment import Link, densest
from nmt_cli.decoding.forced.annotation import Annotator, Said, Wanted
from nmt_cli.decoding.forced.given import as_hypotheses
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import HardTerm, Sentence, Wishes
from nmt_cli.errors import ModelError
from nmt_cli.recipe.decoding import SearchSettings
from nmt_cli.text.words import kind, words

Search = Callable[[Sequence[Sentence], Callable[[int], object]], list[list[Hypothesis]]]

_WORD = re.compile(r"[^ \t]+")


class HardTerms:
    """Searches for sentences with hard terms.

    They are first searched for as if they had none: mostly a translation holds the terms anyway. Of others, search with
    constraints knows how to say a term, but not where, if the model thinks it unlikely anywhere. Word alignment knows:
    where the translation without constraints says the source term. What the model finds likelier is taken, by its
    log-probability: a score that is normalised by length forgives a term in the wrong place if enough is said after it.
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
        """The hypotheses of each sentence, given as text too, by `search` or, the best, by substitution.

        `searched` hears once of each sentence.
        """
        free = [replace(sentence, wishes=sentence.wishes.without_terms()) for sentence in sentences]
        found = search(free, searched)
        lacking = [
            place
            for place, sentence in enumerate(sentences)
            if sentence.wishes.terms and not all(self._grants(sentence.wishes, each) for each in found[place])
        ]
        if not lacking:
            return found
        needy = [sentences[place] for place in lacking]
        others = self._substituted(needy, [sources[place] for place in lacking], [found[place][0] for place in lacking])
        again = search(needy, lambda sentences: None)
        for place, constrained, other in zip(lacking, again, others, strict=True):
            found[place] = constrained
            if other is not None and (constrained[0].unmet or other.log_probability > constrained[0].log_probability):
                rest = [each for each in constrained if each.tokens != other.tokens]
                found[place] = [other, *rest][: len(constrained)]
        return found

    def _substituted(
        self, sentences: Sequence[Sentence], sources: Sequence[str], found: Sequence[Hypothesis]
    ) -> list[Hypothesis | None]:
        """The translation found for each sentence, its terms put in; None if that cannot be."""
        texts = self._tokenizer.decode_target([list(each.tokens) for each in found])
        said = [
            Said(source, sentence, text, each.tokens)
            for source, sentence, text, each in zip(sources, sentences, texts, found, strict=True)
        ]
        annotator = Annotator(self._searcher, self._tokenizer, self._settings.batch_tokens, Wanted(True, False))
        try:
            links = [each.alignment or () for each in annotator.annotate(said)]
        except ModelError:  # no attention
            return [None] * len(sentences)
        changed = [
            substitute(each.source, each.target, some, each.sentence.wishes.terms)
            for each, some in zip(said, links, strict=True)
        ]
        able = [place for place, text in enumerate(changed) if text is not None]
        given = as_hypotheses(
            self._searcher,
            self._tokenizer,
            self._settings,
            [sentences[place] for place in able],
            [text for text in changed if text is not None],
        )
        known = dict(zip(able, given, strict=True))
        return [
            other if (other := known.get(place)) and self._grants(sentence.wishes, other) else None
            for place, sentence in enumerate(sentences)
        ]

    def _grants(self, wishes: Wishes, hypothesis: Hypothesis) -> bool:
        return self._searcher.grants(wishes, hypothesis.tokens)


def substitute(source: str, target: str, links: Sequence[Link], terms: Sequence[HardTerm]) -> str | None:
    """A translation with each term in the place of the words that answer to its source term.

    One that it says already, there or else elsewhere, is left alone. None if one has no place: nothing answers to it,
    it is but a part of a word, such as "bike" of "bike-rack", or another takes the same words.
    """
    target_words = [found.span() for found in _WORD.finditer(target)]
    places = [_place(source, target, target_words, links, term) for term in terms]
    unsaid = list[tuple[tuple[int, int] | None, str]]()
    elsewhere = Counter({term.target: _times(term.target, target) for term in terms})
    for place, term in zip(places, terms, strict=True):
        if place and _times(term.target, target[slice(*place)]):
            elsewhere[term.target] -= 1
        else:
            unsaid.append((place, term.target))
    changed = dict[tuple[int, int], str]()
    for place, word in unsaid:
        if elsewhere[word] > 0:
            elsewhere[word] -= 1
        elif place is None or any(start < place[1] and place[0] < end for start, end in changed):
            return None
        else:
            changed[place] = word
    for start, end in sorted(changed, reverse=True):
        target = target[:start] + changed[start, end] + target[end:]
    return target


def _place(
    source: str, target: str, target_words: Sequence[tuple[int, int]], links: Sequence[Link], term: HardTerm
) -> tuple[int, int] | None:
    """The characters that say a source term, signs around them left out."""
    said = set[int]()
    for number, found in enumerate(_WORD.finditer(source)):
        start, end = found.span()
        if start < term.end and term.start < end:
            if _has_letters(source[start : term.start] + source[term.end : end]):
                return None
            said.add(number)
    answers = sorted({other for one, other in links if one in said})
    if not answers:
        return None
    first, last = densest(answers)
    start, end = target_words[first][0], target_words[last][1]
    text = target[start:end]
    letters = [place for place, character in enumerate(text, start) if _has_letters(character)]
    if not letters or any(kind(character) == "unspaced" for character in text):
        return None
    return letters[0], letters[-1] + 1


def _has_letters(text: str) -> bool:
    return any(kind(character) in ("word", "unspaced") for character in text)


def _times(phrase: str, text: str) -> int:
    """How often a text says a phrase, as whole words."""
    wanted, given = ([word.text for word in words(each)] for each in (phrase, text))
    return sum(given[start : start + len(wanted)] == wanted for start in range(len(given) - len(wanted) + 1))
