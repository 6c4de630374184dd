"""Corpus scores of translations, by metric name."""

from collections.abc import Callable, Sequence

from nmt_cli.errors import DataError
from nmt_cli.evaluation.metrics import sacrebleu, sentence_metrics
from nmt_cli.evaluation.metrics.comet import comet_metric
from nmt_cli.evaluation.metrics.external import external_metric
from nmt_cli.evaluation.metrics.metric import EvaluationTexts, Metric, MetricScore, MetricStatistics
from nmt_cli.evaluation.target_language import default_metrics
from nmt_cli.recipe.evaluation import Evaluation

METRICS: dict[str, Callable[[Evaluation], Metric]] = {
    "bleu": sacrebleu.bleu,
    "spbleu": sacrebleu.spbleu,
    "chrf": sacrebleu.chrf,
    "chrf++": sacrebleu.chrf_plus_plus,
    "ter": sacrebleu.ter,
    "rouge1": sentence_metrics.rouge("rouge1"),
    "rouge2": sentence_metrics.rouge("rouge2"),
    "rougeL": sentence_metrics.rouge("rougeL"),
    "meteor": sentence_metrics.meteor,
    "exact_match": sentence_metrics.exact_match,
    "wer": sentence_metrics.word_error_rate,
    "per": sentence_metrics.phoneme_error_rate,
}
"""From a name in `evaluation.metrics` to the constructor of the metric."""


def build_metrics(settings: Evaluation) -> list[Metric]:
    """Build the metrics of the settings in their order, followed by COMET and external ones if they are given.

    Raises:
        RecipeError: A program, package or model that a metric needs is missing.
    """
    built_in = [METRICS[key](settings) for key in dict.fromkeys(settings.metrics or default_metrics(None))]
    comet = [] if settings.comet is None else [comet_metric(settings.comet)]
    return [*built_in, *comet, *(external_metric(name, program) for name, program in settings.external.items())]


def compute_statistics(texts: EvaluationTexts, metrics: Sequence[Metric]) -> list[MetricStatistics]:
    """Compute the sentence statistics of each metric.

    Raises:
        DataError: There are no sentences, or the sides differ in their number of lines.
    """
    check_line_counts(texts.hypotheses, texts.references)
    num_references = len(texts.references)
    return [MetricStatistics(metric, metric.statistics(texts), metric.signature(num_references)) for metric in metrics]


def score(hypotheses: Sequence[str], references: Sequence[Sequence[str]], settings: Evaluation) -> list[MetricScore]:
    """Score detokenised hypotheses with each metric of the settings, in their order.

    Args:
        references: One list per set of references, each as long as `hypotheses`.

    Raises:
        DataError: There are no sentences, or the sides differ in their number of lines.
    """
    texts = EvaluationTexts(hypotheses, references)
    return [statistics.score() for statistics in compute_statistics(texts, build_metrics(settings))]


def exact_match(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return the percentage of hypotheses that equal one of their references."""
    texts = EvaluationTexts(hypotheses, references)
    [statistics] = compute_statistics(texts, [sentence_metrics.exact_match(Evaluation())])
    return statistics.value


def length_ratio(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return characters of the hypotheses per character of the references.

    The mean length is used for several sets of references. Returns 0 if all references are empty.
    """
    check_line_counts(hypotheses, references)
    expected = sum(len(line) for lines in references for line in lines) / len(references)
    return sum(map(len, hypotheses)) / expected if expected else 0.0


def check_line_counts(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Raise DataError unless there are sentences and every set of references is as long as the hypotheses."""
    if not references:
        raise DataError("there are no references; give at least one set of them")
    for index, lines in enumerate(references, 1):
        if len(lines) != len(hypotheses):
            which = "references" if len(references) == 1 else f"references in set {index}"
            raise DataError(
                f"there are {len(hypotheses)} hypotheses but {len(lines)} {which}; every line needs a reference"
            )
    if not hypotheses:
        raise DataError("there are no sentences to score")
