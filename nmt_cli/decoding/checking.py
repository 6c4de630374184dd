"""Translations that look wrong are searched for again in other ways, and the best of all that was found is kept."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.forced.annotation import Annotation
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
    problems: tuple[Finding, ...] = ()
    """What looks wrong with the best."""
    mended: bool = False
    """Whether the best was found only when it was searched for anew."""


def candidates(found: Sequence[Sequence[Hypothesis]], decode: Decode) -> list[list[Candidate]]:
    """Hypotheses of sentences with their texts."""
    texts = iter(decode([list(hypothesis.tokens) for hypotheses in found for hypothesis in hypotheses]))
    return [[Candidate(next(texts), hypothesis) for hypothesis in hypotheses] for hypotheses in found]


def fallbacks(settings: SearchSettings) -> tuple[SearchSettings, ...]:
    """The chain: a wider beam; one that never repeats itself, and prefers longer translations; chance, its seed fixed.

    All that they find is looked at, not only what they rank first. The first also has to say what was lost.
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

    def __init__(self, check: Check, search: Search, tokenizer: Tokenizer, settings: SearchSettings) -> None:
        self._check, self._search, self._tokenizer = check, search, tokenizer
        self._length_penalty, self._chain = settings.length_penalty, fallbacks(settings)

    def mend(self, sentences: Sequence[Sentence], sources: Sequence[str], found: Sequence[Outcome]) -> list[Outcome]:
        """What was found for each sentence, given as text too, or something better.

        Better is what has no problem; or else fewer, if the model finds it likelier too: to what it finds unlikely, one
        problem less may have come by chance. All sentences that fail go through each link of the chain together.
        """
        checked = [
            replace(outcome, problems=self._check(source, outcome.candidates[0].text))
            for source, outcome in zip(sources, found, strict=True)
        ]
        for place, outcome in enumerate(checked):
            if outcome.problems:
                checked[place] = self._better(sources[place], outcome, outcome.candidates[1:])
        for link, settings in enumerate(self._chain):
            failing = [place for place, outcome in enumerate(checked) if outcome.problems]
            if isinstance(settings, SamplingSettings):  # it cannot see to it that words are said
                failing = [place for place in failing if not sentences[place].wishes.required]
            if not failing:
                break
            asked = [sentences[place] for place in failing]
            if link == 0:
                asked = [self._insisting(sentences[place], checked[place].problems) for place in failing]
            again = candidates(self._search(asked, settings), self._tokenizer.decode_target)
            for place, others in zip(failing, again, strict=True):
                mine = (self._as_first(other, sentences[place]) for other in others)
                checked[place] = self._better(sources[place], checked[place], mine)
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

    def _insisting(self, sentence: Sentence, problems: Iterable[Finding]) -> Sentence:
        """The sentence, its translation to hold what is lost."""
        lost = self._tokenizer.encode_target([finding.lost for finding in problems if finding.lost])
        required = (*sentence.wishes.required, *(tuple(phrase) for phrase in lost if phrase))
        return replace(sentence, wishes=replace(sentence.wishes, required=required))

    def _as_first(self, candidate: Candidate, sentence: Sentence) -> Candidate:
        """As the first search would have told it: its score, the end counted, and which of the user's wishes fail."""
        found = candidate.hypothesis
        score = found.log_probability / (len(found.tokens) + 1) ** self._length_penalty
        unmet = tuple(phrase for phrase in found.unmet if phrase in sentence.wishes.required)
        return replace(candidate, hypothesis=replace(found, score=score, unmet=unmet))
