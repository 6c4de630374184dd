"""Search again for translations that contain a bad word in a form that the search did not exclude.

The first search excludes bad words as they are written, after a space. A term also matches inflected forms (`Fahrr*`:
Fahrräder), other case, and words after a sign (`eau`: l'eau). If a translation contains such forms, its sentence is
searched again with these forms excluded, at most `MAX_SEARCHES` times. Bad words that remain are reported.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nmt_cli.decoding.constraints.builder import ConstraintBuilder
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import Constraints, Decode, Phrase, SentenceInput
from nmt_cli.text.terms import TermMatch, case_variants

MAX_SEARCHES = 5
"""Maximum number of further searches of a sentence."""

NBestLists = list[list[Hypothesis]]
"""The hypotheses of each sentence, best first."""
SearchTexts = Callable[[Sequence[SentenceInput], Sequence[str]], NBestLists]
"""Returns the hypotheses of sentences, which are also given as text."""


class BadWordSearch:
    """Replaces hypotheses that contain bad words."""

    def __init__(self, builder: ConstraintBuilder, decode: Decode, search: SearchTexts) -> None:
        self._builder, self._decode, self._search = builder, decode, search

    def __call__(
        self,
        requests: Mapping[int, Request],
        sentences: Sequence[SentenceInput],
        sources: Sequence[str],
        found: NBestLists,
        n_best: int,
    ) -> tuple[list[SentenceInput], NBestLists]:
        """Return the sentences with further constraints, and their hypotheses.

        Args:
            requests: By line number.
            sources: The text of each sentence.
            found: Hypotheses of the first search.
            n_best: Number of hypotheses of each sentence that must not contain bad words.
        """
        sentences, found, to_check = list(sentences), list(found), list(range(len(found)))
        for _ in range(MAX_SEARCHES):
            failing = list[int]()
            for index in to_check:
                constraints = self._exclude_found(
                    requests[sentences[index].line], sentences[index], found[index][:n_best]
                )
                if constraints != sentences[index].constraints:  # otherwise the result would be the same
                    sentences[index] = replace(sentences[index], constraints=constraints)
                    failing.append(index)
            if not failing:
                break
            results = self._search([sentences[index] for index in failing], [sources[index] for index in failing])
            for index, hypotheses in zip(failing, results, strict=True):
                found[index] = hypotheses
            to_check = failing
        return sentences, found

    def _exclude_found(
        self, request: Request, sentence: SentenceInput, hypotheses: Sequence[Hypothesis]
    ) -> Constraints:
        """Return the constraints of a sentence that also exclude the bad words in its hypotheses.

        Each is excluded in its usual spellings, in common cases, and in the tokens that the hypothesis spells it with.
        """
        forms, phrases = set[str](), list[Phrase]()
        texts = self._decode([list(each.tokens) for each in hypotheses])
        for text, hypothesis in zip(texts, hypotheses, strict=True):
            for match in self._matches(request, sentence, text):
                forms.update(case_variants(match.term, text[match.start : match.end]))
                phrases.append(self._builder.spelling_of(match, hypothesis.tokens, self._decode))
        return self._builder.with_bad_words(sentence.constraints, sorted(forms), filter(None, phrases))

    def is_allowed(self, request: Request, sentence: SentenceInput, text: str) -> bool:
        """Return whether a translation of a sentence contains no bad word."""
        return not self._matches(request, sentence, text)

    def _matches(self, request: Request, sentence: SentenceInput, text: str) -> list[TermMatch]:
        """Return the bad words in a translation, except those in its prefix."""
        constraints = sentence.constraints
        prefix = request.prefix if constraints.prefix or constraints.prefix_completions else ""
        return self._builder.bad_words_in(request, text, prefix)
