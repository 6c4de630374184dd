"""Search again for translations that contain a bad word in a form that the search did not exclude.

The search excludes bad words as they are written. A list also means other forms of them, such as `Fahrr*` that of
Fahrräder, and other case. Whichever form a translation contains is excluded as well in a further search of its
sentence, and so on, at most `MAX_SEARCHES` times; what is left is reported.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nmt_cli.decoding.constraints.builder import ConstraintBuilder
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import SentenceInput

MAX_SEARCHES = 5
"""Further searches of a sentence."""

Found = list[list[Hypothesis]]
SearchTexts = Callable[[Sequence[SentenceInput], Sequence[str]], Found]
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
        found: Found,
        n_best: int,
    ) -> tuple[list[SentenceInput], Found]:
        """Return the sentences with further constraints, and their hypotheses.

        Args:
            requests: By line number.
            sources: The text of each sentence.
            found: Hypotheses of a first search.
            n_best: Number of hypotheses of a sentence that are used.
        """
        sentences, found, searched = list(sentences), list(found), list(range(len(found)))
        excluded: list[set[str]] = [set() for _ in sentences]
        for _ in range(MAX_SEARCHES):
            failing = list[int]()
            for index in searched:
                forms = (
                    self._forms(requests[sentences[index].line], sentences[index], found[index][:n_best])
                    - excluded[index]
                )
                if forms:  # a form that is excluded already cannot be avoided
                    excluded[index] |= forms
                    constraints = self._builder.forbidding(sentences[index].constraints, sorted(forms))
                    sentences[index] = replace(sentences[index], constraints=constraints)
                    failing.append(index)
            if not failing:
                break
            again = self._search([sentences[index] for index in failing], [sources[index] for index in failing])
            for index, hypotheses in zip(failing, again, strict=True):
                found[index] = hypotheses
            searched = failing
        return sentences, found

    def _forms(self, request: Request, sentence: SentenceInput, hypotheses: Sequence[Hypothesis]) -> set[str]:
        """Return the forms of bad words in hypotheses of a sentence, except in the prefix with which they begin."""
        constraints = sentence.constraints
        prefix = request.prefix if constraints.prefix or constraints.prefix_completions else ""
        texts = self._decode([list(each.tokens) for each in hypotheses])
        return {
            text[match.start : match.end]
            for text in texts
            for match in self._builder.bad_words_in(request, text, prefix)
        }
