"""Search again for translations that contain a bad word in a form that the search did not exclude.

The first search excludes bad words as they are written. A term also matches inflected forms (`Fahrr*`: Fahrräder) and
other case. If a translation contains such forms, its sentence is searched again with these forms excluded, at most
`MAX_SEARCHES` times. Bad words that remain are reported.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nmt_cli.decoding.constraints.builder import ConstraintBuilder
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.text.terms import TermMatch, case_variants

MAX_SEARCHES = 5
"""Maximum number of further searches of a sentence."""

NBestLists = list[list[Hypothesis]]
"""The hypotheses of each sentence, best first."""
SearchTexts = Callable[[Sequence[SentenceInput], Sequence[str]], NBestLists]
"""Returns the hypotheses of sentences, which are also given as text."""


class BadWordSearch:
    """Replaces hypotheses that contain bad words."""

    def __init__(
        self, builder: ConstraintBuilder, decode: Callable[[list[list[int]]], list[str]], search: SearchTexts
    ) -> None:
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
        excluded: list[set[str]] = [set() for _ in sentences]
        for _ in range(MAX_SEARCHES):
            failing = list[int]()
            for index in to_check:
                texts = self._decode([list(each.tokens) for each in found[index][:n_best]])
                request = requests[sentences[index].line]
                matches = [(text, match) for text in texts for match in self._matches(request, sentences[index], text)]
                forms = {
                    variant
                    for text, match in matches
                    for variant in case_variants(match.term, text[match.start : match.end])
                } - excluded[index]
                if forms:  # searching again cannot avoid forms that were already excluded
                    excluded[index] |= forms
                    constraints = self._builder.with_bad_words(sentences[index].constraints, sorted(forms))
                    sentences[index] = replace(sentences[index], constraints=constraints)
                    failing.append(index)
            if not failing:
                break
            results = self._search([sentences[index] for index in failing], [sources[index] for index in failing])
            for index, hypotheses in zip(failing, results, strict=True):
                found[index] = hypotheses
            to_check = failing
        return sentences, found

    def is_allowed(self, request: Request, sentence: SentenceInput, text: str) -> bool:
        """Return whether a translation of a sentence contains no bad word."""
        return not self._matches(request, sentence, text)

    def _matches(self, request: Request, sentence: SentenceInput, text: str) -> list[TermMatch]:
        """Return the bad words in a translation, except those in its prefix."""
        constraints = sentence.constraints
        prefix = request.prefix if constraints.prefix or constraints.prefix_completions else ""
        return self._builder.bad_words_in(request, text, prefix)
