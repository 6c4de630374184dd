"""How often human judges prefer the system with the better score, given the difference (Kocmi et al. 2024).

The figures are those of the package mt-thresholds, which were measured on pairs of systems of the WMT campaigns.
"""

import warnings

from nmt_cli.recipe.evaluation import Evaluation

_SCORED_TO_ONE = ("comet", "xcomet", "bleurt", "bertscore")
"""Beginnings of the names of metrics whose scores are near 1 and whose thresholds are for scores near 100."""


def human_agreement(metric: str, difference: float, settings: Evaluation) -> float | None:
    """Return the percentage of differences of this size whose sign agrees with human judgement.

    None if the metric is unknown to the package, or the package is not installed.

    Args:
        metric: Key of the metric, such as bleu; an external metric is known by its name, such as comet22.
        difference: Of the scores of two systems; its sign is ignored.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in the package's source
            from mt_thresholds import METRICS, accuracy
    except ImportError:
        return None
    name = f"spbleu{settings.spbleu_tokenizer[-3:]}" if metric == "spbleu" else metric.lower()
    name = name if name in METRICS else name.replace("-", "").replace("_", "")
    if name not in METRICS:
        return None
    scale = 100 if name.startswith(_SCORED_TO_ONE) else 1
    return float(accuracy(abs(difference) * scale, name))
