"""Perturbations of the source as in real text (capitals, typos, no final punctuation), and their effect on scores."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nmt_cli.evaluation.breakdown.slices import MAX_EXAMPLES, most_changed_lines, sort_metric
from nmt_cli.evaluation.metrics import build_metrics, compute_statistics
from nmt_cli.evaluation.metrics.metric import EvaluationTexts
from nmt_cli.evaluation.significance import DEFAULT_RESAMPLES, approximate_randomisation, score_difference
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.text.word_boundaries import graphemes, has_spaces_between_words

_TYPO_RATE = 0.1
"""Share of words with a typo; about that of a careless typist."""
_UNSPACED_WORD_LENGTH = 3
"""Characters counted as a word in scripts without spaces."""
_FINAL_PUNCTUATION = ".!?…。！？।"


@dataclass(frozen=True)
class Perturbation:
    """A change of the source that preserves its meaning."""

    name: str
    perturb: Callable[[str, random.Random], str]
    normalize: Callable[[str], str]
    """Applied to hypotheses and references before scoring, so that copying the perturbation is not an error."""

    def perturb_lines(self, lines: Sequence[str]) -> list[str]:
        """Perturb every line. The change of a line depends only on the line and its index."""
        return [self.perturb(line, random.Random(f"{self.name} {index}")) for index, line in enumerate(lines)]

    def normalize_texts(self, texts: EvaluationTexts) -> EvaluationTexts:
        """Normalise hypotheses and references for scoring."""
        references = [list(map(self.normalize, lines)) for lines in texts.references]
        return EvaluationTexts(list(map(self.normalize, texts.hypotheses)), references, texts.sources)


@dataclass(frozen=True)
class ScoreDrop:
    """Effect of a perturbation on one metric."""

    metric: str
    """Key of the metric."""
    original: float
    """Score of the original test set, with the same normalisation."""
    perturbed: float
    difference: float
    """`perturbed` minus `original`."""
    p: float
    """p-value of the difference by approximate randomisation."""


@dataclass(frozen=True)
class PerturbedLine:
    """A line and its translation before and after a perturbation."""

    line: int
    """1-based."""
    source: str
    perturbed_source: str
    hypothesis: str
    perturbed_hypothesis: str


@dataclass(frozen=True)
class Robustness:
    """Effect of one perturbation on a test set."""

    perturbation: str
    """Name, such as upper case."""
    changed_lines: int
    """Number of source lines that differ from the original."""
    drops: list[ScoreDrop]
    """One per metric."""
    examples: list[PerturbedLine]
    """Lines whose score drops most."""


def add_typos(line: str, rng: random.Random) -> str:
    """Swap, drop or double a letter, with its marks, in about one word in ten."""
    return " ".join(
        "".join("".join(_add_typo(part, rng) if rng.random() < _TYPO_RATE else part) for part in _typed_words(word))
        for word in line.split(" ")
    )


def strip_final_punctuation(line: str) -> str:
    """Remove the punctuation at the end of a line."""
    return line.rstrip().rstrip(_FINAL_PUNCTUATION).rstrip()


def _typed_words(word: str) -> list[list[str]]:
    """Return the letters of what was typed between two spaces: one word, or several of a script without spaces."""
    letters = graphemes(word)
    if has_spaces_between_words([word]):
        return [letters]
    return [letters[start : start + _UNSPACED_WORD_LENGTH] for start in range(0, len(letters), _UNSPACED_WORD_LENGTH)]


def _add_typo(word: list[str], rng: random.Random) -> list[str]:
    candidates = [index for index, (one, other) in enumerate(pairwise(word)) if (one[0] + other[0]).isalpha()]
    if not candidates:
        return word
    index = rng.choice(candidates)
    first, second = word[index : index + 2]
    return [*word[:index], *rng.choice([[second, first], [second], [first, first, second]]), *word[index + 2 :]]


PERTURBATIONS = (
    Perturbation("upper case", lambda line, _: line.upper(), str.lower),
    Perturbation("title case", lambda line, _: " ".join(w[:1].upper() + w[1:] for w in line.split(" ")), str.lower),
    Perturbation("typing mistakes", add_typos, lambda line: line),
    Perturbation("no final punctuation", lambda line, _: strip_final_punctuation(line), strip_final_punctuation),
)


def measure_robustness(
    original: EvaluationTexts, perturbed: EvaluationTexts, perturbation: Perturbation, settings: Evaluation
) -> Robustness:
    """Measure the effect of a perturbation. `perturbed` has the perturbed sources and their translations."""
    metrics = build_metrics(settings)
    before_texts, after_texts = perturbation.normalize_texts(original), perturbation.normalize_texts(perturbed)
    before, after = compute_statistics(before_texts, metrics), compute_statistics(after_texts, metrics)
    drops = [
        ScoreDrop(
            first.metric.key,
            first.value,
            second.value,
            score_difference([first], [second]),
            approximate_randomisation([first], [second], DEFAULT_RESAMPLES["randomisation"], settings.seed),
        )
        for first, second in zip(before, after, strict=True)
    ]
    _, worsened = most_changed_lines(before_texts, sort_metric(before), after_texts, sort_metric(after), MAX_EXAMPLES)
    assert original.sources is not None and perturbed.sources is not None
    pairs = zip(original.sources, perturbed.sources, strict=True)
    return Robustness(
        perturbation=perturbation.name,
        changed_lines=sum(first != second for first, second in pairs),
        drops=drops,
        examples=[
            PerturbedLine(
                change.line,
                original.sources[change.line - 1],
                perturbed.sources[change.line - 1],
                original.hypotheses[change.line - 1],
                perturbed.hypotheses[change.line - 1],
            )
            for change in worsened
        ],
    )
