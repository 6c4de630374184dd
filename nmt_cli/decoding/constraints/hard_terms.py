"""Hard terms: translations in which given source terms have given targets.

Constrained search places a target where the model gives it the highest probability; a target that the model does not
know ends up at the end of the translation. So there are three steps, each for the sentences that still lack a term:

1. Search without the terms. Most translations contain them without being forced to.
2. Replace the words that word alignment links to the source term by the target, and score the result. With "bike →
   Velo", "a bike" gives "ein Fahrrad"; "bike" is aligned to "Fahrrad", so the result is "ein Velo".
3. Search with the targets as forced phrases.

benchmarks/results/glossary.md compares them.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from nmt_cli.console import OnProgress
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.generator import Generator
from nmt_cli.decoding.scoring.annotation import AnnotationInput, Annotator, Link, score_texts
from nmt_cli.decoding.search.hypotheses import Hypothesis, best_first
from nmt_cli.decoding.sentences import HardTerm, SentenceInput
from nmt_cli.errors import ModelError
from nmt_cli.recipe.decoding import SearchSettings
from nmt_cli.text.word_boundaries import character_class, count_phrase, is_in_word

SearchSentences = Callable[[Sequence[SentenceInput], OnProgress], list[list[Hypothesis]]]

CharSpan = tuple[int, int]
"""Start and end (exclusive) in a translation, in characters."""

_WORD = re.compile(r"[^ \t]+")


@dataclass(frozen=True)
class MissingTerm:
    """A target that a translation does not contain, and the spans that it may replace."""

    target: str
    spans: tuple[CharSpan, ...]


class HardTermSearch:
    """Searches for sentences with hard terms."""

    def __init__(self, generator: Generator, tokenizer: Tokenizer, settings: SearchSettings) -> None:
        self._generator, self._tokenizer, self._settings = generator, tokenizer, settings

    def search(
        self,
        sentences: Sequence[SentenceInput],
        sources: Sequence[str],
        search: SearchSentences,
        on_progress: OnProgress = lambda sentences: None,
    ) -> list[list[Hypothesis]]:
        """Return at least one hypothesis of each sentence, best first.

        The best is made from the best hypothesis of `search` only, so it does not depend on the number of hypotheses.

        Args:
            sources: The sentences as text.
            on_progress: Called in the first search only, so that each sentence is counted once.
        """
        found = search(
            [replace(each, constraints=each.constraints.without_hard_terms()) for each in sentences], on_progress
        )
        unsatisfied = [
            index
            for index, sentence in enumerate(sentences)
            if sentence.constraints.hard_terms and not all(self._satisfies(sentence, each) for each in found[index])
        ]
        inputs = [
            AnnotationInput(sources[index], sentences[index], text, each.tokens)
            for index in unsatisfied
            for each, text in zip(found[index], self._texts(found[index]), strict=True)
        ]
        replaced = iter(self._replace_terms(inputs))
        for index in unsatisfied:
            kept = [each if self._satisfies(sentences[index], each) else None for each in found[index]]
            changed = [next(replaced) for _ in kept]
            first, *others = (each or other for each, other in zip(kept, changed, strict=True))
            distinct = dict[tuple[int, ...], Hypothesis]()
            for each in [first, *best_first(filter(None, others))] if first else []:
                distinct.setdefault(each.tokens, each)
            found[index] = list(distinct.values())
        to_constrain = [index for index in unsatisfied if not found[index]]
        if to_constrain:
            results = search([sentences[index] for index in to_constrain], lambda sentences: None)
            for index, hypotheses in zip(to_constrain, results, strict=True):
                found[index] = hypotheses
        return found

    def _replace_terms(self, translations: Sequence[AnnotationInput]) -> list[Hypothesis | None]:
        """Insert the missing terms; None for a translation where a term has no aligned words or a constraint fails."""
        annotator = Annotator(self._generator, self._tokenizer, self._settings.batch_tokens, alignment=True)
        try:
            links = [each.alignment or () for each in annotator.annotate(translations)]
        except ModelError:  # no attention
            return [None] * len(translations)
        missing = [
            missing_terms(each.source, each.target, links_of_one, each.sentence.constraints.hard_terms)
            for each, links_of_one in zip(translations, links, strict=True)
        ]
        placeable = [index for index, terms in enumerate(missing) if all(each.spans for each in terms)]
        texts = self._replace_best_spans(
            [translations[index] for index in placeable], [missing[index] for index in placeable]
        )
        changed = [(index, text) for index, text in zip(placeable, texts, strict=True) if text is not None]
        scored = self._score([(translations[index].sentence, text) for index, text in changed])
        scored_by_index = {index: hypothesis for (index, _), hypothesis in zip(changed, scored, strict=True)}
        return [
            hypothesis
            if (hypothesis := scored_by_index.get(index)) and self._satisfies(each.sentence, hypothesis)
            else None
            for index, each in enumerate(translations)
        ]

    def _replace_best_spans(
        self, translations: Sequence[AnnotationInput], missing: Sequence[Sequence[MissingTerm]]
    ) -> list[str | None]:
        """Put each term into its most likely span, scored with that term alone; None if the chosen spans overlap."""
        trials = [
            (each.sentence, _replace_spans(each.target, {span: term.target}))
            for each, terms in zip(translations, missing, strict=True)
            for term in terms
            for span in term.spans
        ]
        scored = iter(self._score(trials))
        changed = list[str | None]()
        for each, terms in zip(translations, missing, strict=True):
            chosen = list[tuple[CharSpan, str]]()
            for term in terms:
                log_probs = {span: next(scored).log_probability for span in term.spans}
                chosen.append((max(log_probs, key=log_probs.__getitem__), term.target))
            ordered = sorted(span for span, _ in chosen)
            are_disjoint = all(before[1] <= after[0] for before, after in pairwise(ordered))
            changed.append(_replace_spans(each.target, dict(chosen)) if are_disjoint else None)
        return changed

    def _score(self, pairs: Sequence[tuple[SentenceInput, str]]) -> list[Hypothesis]:
        sentences, texts = [sentence for sentence, _ in pairs], [text for _, text in pairs]
        return score_texts(self._generator, self._tokenizer, self._settings, sentences, texts)

    def _texts(self, hypotheses: Sequence[Hypothesis]) -> list[str]:
        return self._tokenizer.decode_target([list(each.tokens) for each in hypotheses])

    def _satisfies(self, sentence: SentenceInput, hypothesis: Hypothesis) -> bool:
        return self._generator.satisfies(sentence.constraints, hypothesis.tokens)


def missing_terms(source: str, target: str, links: Sequence[Link], terms: Sequence[HardTerm]) -> list[MissingTerm]:
    """Return the terms whose target is missing.

    Each occurrence of a target counts for one term: the term that it is aligned to, if any, or else another one.
    """
    found = [MissingTerm(term.target, _aligned_spans(source, target, links, term)) for term in terms]
    unclaimed = Counter({term.target: count_phrase(term.target, target) for term in terms})
    unaligned = list[MissingTerm]()
    for term in found:
        if any(count_phrase(term.target, target[start:end]) for start, end in term.spans):
            unclaimed[term.target] -= 1
        else:
            unaligned.append(term)
    missing = list[MissingTerm]()
    for term in unaligned:
        if unclaimed[term.target] > 0:
            unclaimed[term.target] -= 1
        else:
            missing.append(term)
    return missing


def _aligned_spans(source: str, target: str, links: Sequence[Link], term: HardTerm) -> tuple[CharSpan, ...]:
    """Return every run of adjacent target words aligned to a term, without the punctuation around it.

    Return none if the term is only a part of a word, such as "bike" in "bike-rack".
    """
    source_words = set[int]()
    for index, (start, end) in enumerate(_word_spans(source)):
        if start < term.end and term.start < end:
            if _has_letters(source[start : term.start] + source[term.end : end]):
                return ()
            source_words.add(index)
    target_spans = _word_spans(target)
    aligned = {target_word for source_word, target_word in links if source_word in source_words}
    spans = dict[CharSpan, None]()
    for first in sorted(aligned):
        last = first
        while last in aligned:
            start, end = target_spans[first][0], target_spans[last][1]
            positions = [position for position in range(start, end) if _has_letters(target[position])]
            # Without spaces, a "word" of the alignment is a whole clause, which a term must not replace.
            if positions and not any(character_class(character) == "unspaced" for character in target[start:end]):
                spans[positions[0], positions[-1] + 1] = None
            last += 1
    return tuple(spans)


def _replace_spans(text: str, replacements: Mapping[CharSpan, str]) -> str:
    for start, end in sorted(replacements, reverse=True):
        text = text[:start] + replacements[start, end] + text[end:]
    return text


def _word_spans(text: str) -> list[CharSpan]:
    return [found.span() for found in _WORD.finditer(text)]


def _has_letters(text: str) -> bool:
    return any(map(is_in_word, text))
