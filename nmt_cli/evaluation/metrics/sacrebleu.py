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
from nmt_cli.evaluation.target_language import are_installed, for_language
from nmt_cli.recipe.evaluation import Evaluation


@dataclass(frozen=True)
class SacrebleuMetric:
    """A sacreBLEU metric, through the two functions that its own paired tests use."""

    key: str
    name: str
    implementation: Any
    lower_is_better: bool = False
    splits_at_spaces: bool = False
    uses_characters: bool = False
    """Whether all text is split into characters first."""

    def statistics(self, texts: EvaluationTexts) -> StatisticsArray:
        hypotheses, references = texts.hypotheses, texts.references
        if self.uses_characters:
            hypotheses, references = list(map(" ".join, hypotheses)), [list(map(" ".join, each)) for each in references]
        return np.array(self.implementation._extract_corpus_statistics(hypotheses, references), np.float64)

    def value(self, sums: Sequence[float]) -> float:
        return float(self._score(sums).score)

    def details(self, sums: Sequence[float]) -> str:
        fields = json.loads(self._score(sums).format(signature="version:none", is_json=True))
        return str(fields.get("verbose_score", ""))

    def signature(self, num_references: int) -> str:
        self.implementation.num_refs = num_references
        signature = str(self.implementation.get_signature().format())
        return signature.replace("tok:", "tok:char-") if self.uses_characters else signature

    def _score(self, sums: Sequence[float]) -> Any:
        return self.implementation._compute_score_from_stats(list(sums))  # list: floor and add-k smoothing modify it


def bleu(settings: Evaluation) -> SacrebleuMetric:
    """BLEU (Papineni et al. 2002; Post 2018)."""
    tokenizer = for_language(settings, None).bleu_tokenizer
    implementation = bleu_with(tokenizer, "evaluation.bleu_tokenizer")
    return SacrebleuMetric("bleu", "BLEU", implementation, splits_at_spaces=tokenizer in ("13a", "intl", "none"))


def spbleu(settings: Evaluation) -> SacrebleuMetric:
    """BLEU on SentencePiece tokens (Goyal et al. 2022)."""
    return SacrebleuMetric("spbleu", "spBLEU", bleu_with(settings.spbleu_tokenizer, "evaluation.metrics: spbleu"))


def chrf(_settings: Evaluation) -> SacrebleuMetric:
    """chrF: F2 of character n-grams (Popović 2015)."""
    return SacrebleuMetric("chrf", "chrF2", CHRF())


def chrf_plus_plus(_settings: Evaluation) -> SacrebleuMetric:
    """chrF++: chrF with word unigrams and bigrams (Popović 2017)."""
    return SacrebleuMetric("chrf++", "chrF2++", CHRF(word_order=2), splits_at_spaces=True)


def ter(settings: Evaluation) -> SacrebleuMetric:
    """Translation edit rate (Snover et al. 2006): edits and shifts per 100 words of the reference."""
    tokenizer = for_language(settings, None).ter_tokenizer
    is_asian = tokenizer == "asian"
    return SacrebleuMetric(
        "ter",
        "TER",
        TER(normalized=is_asian, asian_support=is_asian),
        lower_is_better=True,
        splits_at_spaces=tokenizer == "tercom",
        uses_characters=tokenizer == "char",
    )


def bleu_with(tokenizer: str, key: str, **options: Any) -> BLEU:
    """Return BLEU with a tokenizer of sacreBLEU.

    Args:
        key: What asks for it, for messages.

    Raises:
        RecipeError: Its packages are not installed, or its SentencePiece model is missing or damaged.
    """
    if not are_installed(tokenizer):
        raise RecipeError(
            f"{key}: {tokenizer} needs packages that are not installed; pip install 'nmt-cli[{tokenizer[:2]}]'"
        )
    url = SPM_MODELS[tokenizer]["url"] if tokenizer in SPM_MODELS else ""
    path = Path(SACREBLEU_DIR) / "models" / url.rsplit("/", 1)[-1]
    if url and not path.is_file():  # sacreBLEU would download it without asking
        raise RecipeError(f"{key}: needs the SentencePiece model {path}, which does not exist; download it from {url}")
    try:
        return BLEU(tokenize=tokenizer, force=True, **options)  # force: sanity_checks warns about tokenised text
    except (OSError, RuntimeError) as error:
        raise RecipeError(f"{path}: is not a SentencePiece model; download it again from {url}") from error
