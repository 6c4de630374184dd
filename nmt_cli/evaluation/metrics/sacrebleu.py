"""BLEU, spBLEU, chrF, chrF++ and TER, computed by sacreBLEU."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
from sacrebleu.utils import SACREBLEU_DIR

from nmt_cli.errors import RecipeError
from nmt_cli.evaluation.metrics.metric import EvaluationTexts, StatisticsArray
from nmt_cli.recipe.evaluation import Evaluation


@dataclass(frozen=True)
class SacrebleuMetric:
    """A sacreBLEU metric, through the two functions that its own paired tests use."""

    key: str
    name: str
    implementation: Any
    lower_is_better: bool = False

    def statistics(self, texts: EvaluationTexts) -> StatisticsArray:
        return np.array(self.implementation._extract_corpus_statistics(texts.hypotheses, texts.references), np.float64)

    def value(self, sums: Sequence[float]) -> float:
        return float(self._score(sums).score)

    def details(self, sums: Sequence[float]) -> str:
        fields = json.loads(self._score(sums).format(signature="version:none", is_json=True))
        return str(fields.get("verbose_score", ""))

    def signature(self, num_references: int) -> str:
        self.implementation.num_refs = num_references
        return str(self.implementation.get_signature().format())

    def _score(self, sums: Sequence[float]) -> Any:
        return self.implementation._compute_score_from_stats(list(sums))  # list: floor and add-k smoothing modify it


def bleu(settings: Evaluation) -> SacrebleuMetric:
    """BLEU (Papineni et al. 2002; Post 2018)."""
    return SacrebleuMetric("bleu", "BLEU", _bleu(settings.bleu_tokenizer))


def spbleu(settings: Evaluation) -> SacrebleuMetric:
    """BLEU on SentencePiece tokens (Goyal et al. 2022).

    Raises:
        RecipeError: sacreBLEU's SentencePiece model is missing or damaged.
    """
    url = SPM_MODELS[settings.spbleu_tokenizer]["url"]
    path = Path(SACREBLEU_DIR) / "models" / url.rsplit("/", 1)[-1]
    if not path.is_file():  # sacreBLEU would download it without asking
        raise RecipeError(
            f"evaluation.metrics: spbleu needs the SentencePiece model {path}, which does not exist;"
            f" download it from {url}"
        )
    try:
        return SacrebleuMetric("spbleu", "spBLEU", _bleu(settings.spbleu_tokenizer))
    except (OSError, RuntimeError) as error:
        raise RecipeError(f"{path}: is not a SentencePiece model; download it again from {url}") from error


def chrf(_settings: Evaluation) -> SacrebleuMetric:
    """chrF: F2 of character n-grams (Popović 2015)."""
    return SacrebleuMetric("chrf", "chrF2", CHRF())


def chrf_plus_plus(_settings: Evaluation) -> SacrebleuMetric:
    """chrF++: chrF with word unigrams and bigrams (Popović 2017)."""
    return SacrebleuMetric("chrf++", "chrF2++", CHRF(word_order=2))


def ter(_settings: Evaluation) -> SacrebleuMetric:
    """Translation edit rate (Snover et al. 2006): edits and shifts per 100 words of the reference."""
    return SacrebleuMetric("ter", "TER", TER(), lower_is_better=True)


def _bleu(tokenizer: str) -> BLEU:
    return BLEU(tokenize=tokenizer, force=True)  # force: sanity_checks warns about tokenised text
