"""Corpus scores of translations: BLEU and chrF by sacreBLEU, and exact matches."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from nmt_cli.errors import DataError
from nmt_cli.recipe.decoding import Evaluation

METRICS: dict[str, Callable[[Evaluation], Any]] = {
    "bleu": lambda settings: BLEU(tokenize=settings.bleu_tokenizer, force=True),  # force: we warn ourselves
    "chrf": lambda settings: CHRF(),
}
"""From a name in `evaluation.metrics` to sacreBLEU's metric."""


@dataclass(frozen=True)
class Score:
    """One score of a set of translations, with all that is needed to compute it again."""

    key: str
    """The metric's name in a recipe, such as bleu."""
    name: str
    """sacreBLEU's name for it, such as BLEU or chrF2."""
    value: float
    """Between 0 and 100."""
    signature: str
    """sacreBLEU's signature: scores are comparable only where it is the same."""
    details: str
    """What the score is made of, such as BLEU's precisions and brevity penalty; empty if nothing."""

    def as_sacrebleu(self) -> dict[str, str | float]:
        """The fields that sacreBLEU itself prints as JSON, the score with all its digits."""
        details = {"verbose_score": self.details} if self.details else {}
        settings = dict(part.split(":", 1) for part in self.signature.split("|"))
        return {"name": self.name, "score": self.value, "signature": self.signature, **details, **settings}


def score(hypotheses: Sequence[str], references: Sequence[Sequence[str]], settings: Evaluation) -> list[Score]:
    """Score detokenised hypotheses by each metric of the settings, in their order.

    `references` holds one list for each set of references, each as long as `hypotheses`; DataError if not,
    or if there is no sentence at all.
    """
    check_counts(hypotheses, references)
    return [_score(key, hypotheses, references, settings) for key in dict.fromkeys(settings.metrics)]


def exact_match(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Percentage of hypotheses that are, character by character, one of their references."""
    check_counts(hypotheses, references)
    found = sum(hypothesis in candidates for hypothesis, *candidates in zip(hypotheses, *references, strict=True))
    return 100.0 * found / len(hypotheses)


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


def _score(key: str, hypotheses: Sequence[str], references: Sequence[Sequence[str]], settings: Evaluation) -> Score:
    metric = METRICS[key](settings)
    result = metric.corpus_score(hypotheses, references)
    value = float(result.score)
    assert math.isfinite(value)
    signature = metric.get_signature().format()
    details = json.loads(result.format(signature=signature, is_json=True)).get("verbose_score", "")
    return Score(key, result.name, value, signature, details)
