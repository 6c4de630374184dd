"""ROUGE and METEOR, by the packages rouge-score and nltk, which need not be installed."""

import importlib.util
import re
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from nmt_cli.errors import RecipeError
from nmt_cli.evaluation.metrics.averages import MeanMetric
from nmt_cli.evaluation.metrics.contract import Texts
from nmt_cli.recipe.evaluation import Evaluation

_WORD = re.compile(r"[^\W_]+")
"""Letters and digits of any script; on English these are the words of rouge-score itself."""


def words(line: str) -> list[str]:
    """Lower-cased words, punctuation left out."""
    return _WORD.findall(line.lower())


def rouge(key: str) -> Callable[[Evaluation], MeanMetric]:
    """ROUGE (Lin 2004): F1 of words (rouge1), pairs of words (rouge2) or the longest common subsequence (rougeL),
    without stemming; of several references the best."""

    def build(_settings: Evaluation) -> MeanMetric:
        _require("rouge_score", key)
        from rouge_score.rouge_scorer import RougeScorer
        from rouge_score.tokenizers import Tokenizer

        class Words(Tokenizer):  # type: ignore[misc] # its own drops every letter that is not ASCII
            def tokenize(self, text: str) -> list[str]:
                return words(text)

        scorer = RougeScorer([key], tokenizer=Words())

        def of_sentences(texts: Texts) -> Sequence[float]:
            lines = zip(texts.hypotheses, *texts.references, strict=True)
            return [
                100 * max(float(scorer.score(reference, hypothesis)[key].fmeasure) for reference in references)
                for hypothesis, *references in lines
            ]

        name = f"ROUGE-{key.removeprefix('rouge')}"
        return MeanMetric(key, name, of_sentences, f"case:lc|tok:words|stem:no|version:{version('rouge-score')}")

    return build


def meteor(_settings: Evaluation) -> MeanMetric:
    """METEOR (Banerjee & Lavie 2005): words aligned by form, Porter's stem and WordNet's synonyms; made for English."""
    _require("nltk", "meteor")
    return meteor_with(_wordnet())


def meteor_with(wordnet: Any) -> MeanMetric:
    """METEOR with a source of synonyms."""
    from nltk.translate.meteor_score import meteor_score

    def of_sentences(texts: Texts) -> Sequence[float]:
        lines = zip(texts.hypotheses, *texts.references, strict=True)
        return [
            100 * float(meteor_score(list(map(words, references)), words(hypothesis), wordnet=wordnet))
            for hypothesis, *references in lines
        ]

    settings = f"case:lc|tok:words|stem:porter|synonyms:wordnet|version:{version('nltk')}"
    return MeanMetric("meteor", "METEOR", of_sentences, settings)


def _require(module: str, key: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise RecipeError(
            f"evaluation.metrics: {key} needs the package {module.replace('_', '-')}, which is not installed;"
            " pip install 'nmt-cli[metrics]'"
        )


def _wordnet() -> Any:
    import nltk
    from nltk.corpus import wordnet

    for place in ("corpora/wordnet", "corpora/wordnet.zip"):
        try:
            nltk.data.find(place)
        except LookupError:
            continue
        return wordnet
    raise RecipeError(
        "evaluation.metrics: meteor needs WordNet, which nltk does not find on this machine;"
        " python -m nltk.downloader wordnet fetches it"
    )
