"""Corpus scores of translations, by name."""

from collections.abc import Callable, Sequence

from nmt_cli.errors import DataError
from nmt_cli.evaluation.metrics import matching, sacrebleu, summaries
from nmt_cli.evaluation.metrics.contract import Measured, Metric, Score, Texts
from nmt_cli.evaluation.metrics.external import external
from nmt_cli.recipe.evaluation import Evaluation

METRICS: dict[str, Callable[[Evaluation], Metric]] = {
    "bleu": sacrebleu.bleu,
    "spbleu": sacrebleu.spbleu,
    "chrf": sacrebleu.chrf,
    "chrf++": sacrebleu.chrf_plus_plus,
    "ter": sacrebleu.ter,
    "rouge1": summaries.rouge("rouge1"),
    "rouge2": summaries.rouge("rouge2"),
    "rougeL": summaries.rouge("rougeL"),
    "meteor": summaries.meteor,
    "exact_match": matching.exact_match,
    "wer": matching.word_error_rate,
    "per": matching.phoneme_error_rate,
}
"""From a name in `evaluation.metrics` to what makes the metric."""


def build_metrics(settings: Evaluation) -> list[Metric]:
    """The metrics of the settings, in their order, then external ones; RecipeError if one lacks what it needs."""
    known = [METRICS[key](settings) for key in dict.fromkeys(settings.metrics)]
    return [*known, *(external(name, wanted) for name, wanted in settings.external.items())]


def measure(texts: Texts, metrics: Sequence[Metric]) -> list[Measured]:
    """What each metric finds; DataError unless there are sentences, and as many on each side."""
    check_counts(texts.hypotheses, texts.references)
    references = len(texts.references)
    return [Measured(metric, metric.statistics(texts), metric.signature(references)) for metric in metrics]


def score(hypotheses: Sequence[str], references: Sequence[Sequence[str]], settings: Evaluation) -> list[Score]:
    """Score detokenised hypotheses by each metric of the settings, in their order.

    `references` holds one list for each set of references, each as long as `hypotheses`; DataError if not,
    or if there is no sentence at all.
    """
    return [found.score() for found in measure(Texts(hypotheses, references), build_metrics(settings))]


def exact_match(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Percentage of hypotheses that are, character by character, one of their references."""
    [found] = measure(Texts(hypotheses, references), [matching.exact_match(Evaluation())])
    return found.value


def length_ratio(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Characters of the hypotheses over those of the references (of several sets, their mean); 0 if these have none."""
    check_counts(hypotheses, references)
    expected = sum(len(line) for lines in references for line in lines) / len(references)
    return sum(map(len, hypotheses)) / expected if expected else 0.0


def check_counts(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """DataError unless there are sentences, and as many in each set of references as there are hypotheses."""
    if not references:
        raise DataError("there is nothing to compare the translations with; give at least one set of references")
    for number, lines in enumerate(references, 1):
        if len(lines) != len(hypotheses):
            which = "references" if len(references) == 1 else f"references in set {number}"
            raise DataError(
                f"there are {len(hypotheses)} hypotheses but {len(lines)} {which}; each line needs its translation"
            )
    if not hypotheses:
        raise DataError("there are no sentences to score")
