"""Sentences with their translations, and how these differ from the references."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.differences import Difference, Part, difference
from nmt_cli.reporting.report import Sentence, spread
from nmt_cli.reporting.run_report.evaluations import Evaluation
from nmt_cli.reporting.run_report.section import Section, absent

_LONGEST = 1500
"""Characters of a sentence that are shown."""
_SAMPLES = 10


@dataclass(frozen=True)
class Sample:
    """One line, as it is shown."""

    line: int
    score: str
    """How likely the model holds it to be, or the score by which the line was chosen."""
    source: str
    difference: Difference
    """To the reference that is most like it."""
    other_references: list[str]


@dataclass(frozen=True)
class _Samples:
    set: str
    of: int
    samples: list[Sample]
    languages: tuple[str, str]


def samples_section(evaluations: Sequence[Evaluation], recipe: Recipe | None, lines: Sequence[int]) -> Section:
    """Some sentences of each evaluated set: evenly spread ones, and those whose numbers, from 1, are in `lines`."""
    wanted = recipe.evaluation.samples if recipe else _SAMPLES
    languages = (recipe.data.source_language, recipe.data.target_language) if recipe else ("", "")
    sets = [
        _Samples(
            found.name,
            len(found.sentences),
            [sample(number, found.sentences[number - 1]) for number in chosen_lines(found, wanted, lines)],
            languages,
        )
        for found in evaluations
        if found.sentences
    ]
    if not sets:
        return absent("Samples", "There are no translations yet; nmt evaluate makes them.")
    return Section("Samples", "samples.html.j2", sets)


def chosen_lines(found: Evaluation, wanted: int, lines: Sequence[int]) -> list[int]:
    """Numbers, from 1, of the lines to show: those asked for, else `wanted` of them evenly spread."""
    count = len(found.sentences)
    asked = [line for line in dict.fromkeys(lines) if 1 <= line <= count]
    return asked or [place + 1 for place in spread(count, wanted)]


def sample(line: int, sentence: Sentence, score: str = "") -> Sample:
    """A sentence beside the reference that shares most words with it."""
    score = score or f"log-probability {sentence.log_probability:.2f}"
    words = Counter(sentence.hypothesis.split())
    likest = max(sentence.references or [""], key=lambda reference: (words & Counter(reference.split())).total())
    others = [reference for reference in sentence.references if reference != likest]
    told = difference(cut(sentence.hypothesis), cut(likest))
    if not sentence.hypothesis.strip():
        told = Difference([Part("(empty)", True)], told.reference)
    return Sample(line, score, cut(sentence.source), told, list(map(cut, others)))


def cut(text: str) -> str:
    """A sentence of a length that can be shown."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … ({len(text) - _LONGEST:,} characters more)"
