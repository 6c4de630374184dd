"""Translations that look wrong are searched for again in other ways, and the best of all that was found is kept."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings, SearchSettings
from nmt_cli.text.checks import Finding

Check = Callable[[str, str], tuple[Finding, ...]]
"""What looks wrong with a translation, by its source and itself."""
Decode = Callable[[list[list[int]]], list[str]]
Search = Callable[[Sequence[Sentence], SearchSettings], list[list[Hypothesis]]]

_WIDEST = 50
"""Hypotheses that a fallback keeps at most; a beam that is wider already stays as it is."""


@dataclass(frozen=True)
class Candidate:
    """A hypothesis, and how it reads."""

    text: str
    hypothesis: Hypothesis


@dataclass(frozen=True)
class Outcome:
    """What was found for a sentence, best first."""

    candidates: list[Candidate]
    problems: tuple[Finding, ...] = ()
    """What looks wrong with the best."""
    mended: bool = False
    """Whether the best was found only when it was searched for anew."""


def candidates(found: Sequence[Sequence[Hypothesis]], decode: Decode) -> list[list[Candidate]]:
    """Hypotheses of sentences with their texts."""
    texts = iter(decode([list(hypothesis.tokens) for hypotheses in found for hypothesis in hypotheses]))
    return [[Candidate(next(texts), hypothesis) for hypothesis in hypotheses] for hypotheses in found]


def fallbacks(settings: SearchSettings) -> tuple[SearchSettings, ...]:
    """The chain: a wider beam, one that prefers longer translations, then chance, its seed fixed.

    All that they find is looked at, not only what they rank first.
    """
    beam = settings.beam_size if isinstance(settings, BeamSettings) else 1
    width = max(beam, min(max(2 * beam, 8), _WIDEST))
    shared = {"max_length_ratio": settings.max_length_ratio, "batch_tokens": settings.batch_tokens}
    penalty = settings.length_penalty
    return (
        BeamSettings(beam_size=width, n_best=width, length_penalty=penalty, **shared),
        BeamSettings(beam_size=width, n_best=width, length_penalty=min(penalty + 1, 10.0), **shared),
        SamplingSettings(strategy="sampling", n_best=16, temperature=0.7, top_k=10, length_penalty=penalty, **shared),
    )


class Mender:
    """Checks translations and mends what it can."""

    def __init__(self, check: Check, search: Search, decode: Decode, settings: SearchSettings) -> None:
        self._check, self._search, self._decode = check, search, decode
        self._length_penalty, self._chain = settings.length_penalty, fallbacks(settings)

    def mend(self, sentences: Sequence[Sentence], sources: Sequence[str], found: Sequence[Outcome]) -> list[Outcome]:
        """What was found for each sentence, given as text too, or something better.

        Better is what has fewer problems; of several such, what the model finds likelier. All sentences that fail go
        through each link of the chain together.
        """
        checked = [
            replace(outcome, problems=self._check(source, outcome.candidates[0].text))
            for source, outcome in zip(sources, found, strict=True)
        ]
        for place, outcome in enumerate(checked):
            if outcome.problems:
                checked[place] = self._better(sources[place], outcome, outcome.candidates[1:])
        for settings in self._chain:
            failing = [place for place, outcome in enumerate(checked) if outcome.problems]
            if not failing:
                break
            again = candidates(self._search([sentences[place] for place in failing], settings), self._decode)
            for place, others in zip(failing, again, strict=True):
                checked[place] = self._better(sources[place], checked[place], map(self._scored, others))
        return checked

    def _better(self, source: str, outcome: Outcome, others: Iterable[Candidate]) -> Outcome:
        """The outcome, or one with the best of the others before its candidates, as many as there were."""
        best, problems = outcome.candidates[0], outcome.problems
        for candidate in sorted(others, key=lambda each: each.hypothesis.score, reverse=True):
            found = self._check(source, candidate.text)
            if len(found) < len(problems):
                best, problems = candidate, found
        if best is outcome.candidates[0]:
            return outcome
        rest = [each for each in outcome.candidates if each.text != best.text]
        return Outcome([best, *rest][: len(outcome.candidates)], problems, mended=True)

    def _scored(self, candidate: Candidate) -> Candidate:
        """With the score that the first search would have given, its end counted."""
        length = len(candidate.hypothesis.tokens) + 1
        score = candidate.hypothesis.log_probability / length**self._length_penalty
        return replace(candidate, hypothesis=replace(candidate.hypothesis, score=score))
