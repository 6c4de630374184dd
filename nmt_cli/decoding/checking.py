"""Translations that look wrong are searched for again in other ways, and the best of all that was found is kept."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from nmt_cli.decoding.forced.annotation import Annotation
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings, SearchSettings
from nmt_cli.text.checks import TranslationFinding

Check = Callable[[str, str], tuple[TranslationFinding, ...]]
"""What looks wrong with a translation, by its source and itself."""
Decode = Callable[[list[list[int]]], list[str]]
Search = Callable[[Sequence[Sentence], SearchSettings], list[list[Hypothesis]]]
Spare = Callable[[Sequence[Sentence], Sequence[str], Sequence[Sequence[str]]], list[list[Hypothesis]]]
"""Searches for sentences, given as text too, without what their translations lost, and puts that in afterwards."""

_WIDEST = 50
"""Hypotheses that a fallback keeps at most; a beam that is wider already stays as it is."""
_REPEATED = 3
"""Subwords in a row that a fallback does not say twice."""


@dataclass(frozen=True)
class Candidate:
    """A hypothesis, and how it reads."""

    text: str
    hypothesis: Hypothesis
    annotation: Annotation | None = None


@dataclass(frozen=True)
class Outcome:
    """What was found for a sentence, best first."""

    candidates: list[Candidate]
    problems: tuple[TranslationFinding, ...] = ()
    """What looks wrong with the best."""
    mended: bool = False
    """Whether the best was found only when it was searched for anew."""


def candidates(found: Sequence[Sequence[Hypothesis]], decode: Decode) -> list[list[Candidate]]:
    """Hypotheses of sentences with their texts."""
    texts = iter(decode([list(hypothesis.tokens) for hypotheses in found for hypothesis in hypotheses]))
    return [[Candidate(next(texts), hypothesis) for hypothesis in hypotheses] for hypotheses in found]


def fallbacks(settings: SearchSettings) -> tuple[SearchSettings, ...]:
    """The chain: a wider beam; one that never repeats itself, and prefers longer translations; chance, its seed fixed.

    All that they find is looked at, not only what they rank first.
    """
    beam = settings.beam_size if isinstance(settings, BeamSettings) else 1
    width = max(beam, min(max(2 * beam, 8), _WIDEST))
    wider = settings.beam(width, n_best=width).model_copy(update={"early_stop": "first"})  # enough to choose from
    longer = {
        "length_penalty": min(settings.length_penalty + 1, 10.0),
        "no_repeat_ngram": settings.no_repeat_ngram or _REPEATED,
    }
    chance = SamplingSettings(strategy="sampling", temperature=0.7, top_k=10, **settings.shared() | {"n_best": 16})
    return wider, wider.model_copy(update=longer), chance


class Mender:
    """Checks translations and mends what it can."""

    def __init__(
        self, check: Check, search: Search, spare: Spare | None, decode: Decode, settings: SearchSettings
    ) -> None:
        """Without `spare`, that is not tried."""
        self._check, self._search, self._spare, self._decode = check, search, spare, decode
        self._length_penalty, self._chain = settings.length_penalty, fallbacks(settings)

    def mend(self, sentences: Sequence[Sentence], sources: Sequence[str], found: Sequence[Outcome]) -> list[Outcome]:
        """What was found for each sentence, given as text too, or something better.

        Better is what has no problem; or else fewer, if the model finds it likelier too: to what it finds unlikely, one
        problem less may have come by chance. All sentences that fail go through each link of the chain together; those
        that have lost what must not change are first searched for without it.
        """
        checked = [
            replace(outcome, problems=self._check(source, outcome.candidates[0].text))
            for source, outcome in zip(sources, found, strict=True)
        ]
        for place, outcome in enumerate(checked):
            if outcome.problems:
                checked[place] = self._better(sources[place], outcome, outcome.candidates[1:])
        self._spared(sentences, sources, checked)
        for settings in self._chain:
            failing = [place for place, outcome in enumerate(checked) if outcome.problems]
            if isinstance(settings, SamplingSettings):  # it cannot see to it that words are said
                failing = [place for place in failing if not sentences[place].wishes.required]
            if not failing:
                break
            again = candidates(self._search([sentences[place] for place in failing], settings), self._decode)
            for place, others in zip(failing, again, strict=True):
                checked[place] = self._better(sources[place], checked[place], map(self._as_first, others))
        return checked

    def _better(self, source: str, outcome: Outcome, others: Iterable[Candidate]) -> Outcome:
        """The outcome, or one with the best of the others before its candidates, as many as there were."""
        best, problems = outcome.candidates[0], outcome.problems
        for candidate in sorted(others, key=lambda each: each.hypothesis.score, reverse=True):
            found = self._check(source, candidate.text)
            is_likelier = candidate.hypothesis.score >= best.hypothesis.score
            if problems and (not found or (len(found) < len(problems) and is_likelier)):
                best, problems = candidate, found
        if best is outcome.candidates[0]:
            return outcome
        rest = [each for each in outcome.candidates if each.text != best.text]
        return Outcome([best, *rest][: len(outcome.candidates)], problems, mended=True)

    def _spared(self, sentences: Sequence[Sentence], sources: Sequence[str], checked: list[Outcome]) -> None:
        """Mend sentences that have lost what should be taken over letter by letter."""
        lost = [[finding.lost for finding in outcome.problems if finding.lost] for outcome in checked]
        failing = [place for place, each in enumerate(lost) if each]
        if not failing or self._spare is None:
            return
        again = self._spare(
            [sentences[place] for place in failing],
            [sources[place] for place in failing],
            [lost[place] for place in failing],
        )
        for place, others in zip(failing, candidates(again, self._decode), strict=True):
            checked[place] = self._better(sources[place], checked[place], others)

    def _as_first(self, candidate: Candidate) -> Candidate:
        """With the score that the first search would have given, its end counted."""
        found = candidate.hypothesis
        score = found.log_probability / (len(found.tokens) + 1) ** self._length_penalty
        return replace(candidate, hypothesis=replace(found, score=score))
