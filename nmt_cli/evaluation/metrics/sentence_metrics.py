"""Metrics computed per sentence: exact match, error rates of grapheme-to-phoneme conversion, ROUGE, METEOR."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from nmt_cli import __version__
from nmt_cli.errors import RecipeError
from nmt_cli.evaluation.metrics.metric import EvaluationTexts, MeanMetric, StatisticsArray
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.text.word_boundaries import has_spaces_between_words, words, words_and_signs


def exact_match(_settings: Evaluation) -> MeanMetric:
    """Percentage of lines that equal one of their references, character by character."""
    settings = f"case:mixed|version:{__version__}"
    return MeanMetric("exact_match", "exact match", _for_each_line(_exact_match), settings)


def word_error_rate(_settings: Evaluation) -> MeanMetric:
    """Percentage of lines that equal none of their references. Each line is the pronunciation of one word."""
    differs = _for_each_line(lambda hypothesis, references: 100 - _exact_match(hypothesis, references))
    return MeanMetric("wer", "WER", differs, f"unit:line|version:{__version__}", lower_is_better=True)


@dataclass(frozen=True)
class PhonemeErrorRate:
    """Insertions, deletions and substitutions per 100 `symbols` of the reference.

    Statistics: edits, and symbols of the reference. With several references, the one with the fewest edits per symbol
    counts. On ordinary text this is the word error rate of speech recognition.
    """

    key: str = "per"
    name: str = "PER"
    lower_is_better: bool = True
    splits_at_spaces: bool = False

    def statistics(self, texts: EvaluationTexts) -> StatisticsArray:
        rows = []
        for hypothesis, *references in zip(texts.hypotheses, *texts.references, strict=True):
            ours = symbols(hypothesis)
            counts = [(edit_distance(ours, theirs), len(theirs)) for theirs in map(symbols, references)]
            rows.append(min(counts, key=lambda count: count[0] / max(count[1], 1)))
        return np.array(rows, np.float64)

    def value(self, sums: Sequence[float]) -> float:
        edits, expected = sums
        if not expected:  # the convention of TER
            return 100.0 if edits else 0.0
        return 100 * edits / expected

    def details(self, sums: Sequence[float]) -> str:
        return f"{sums[0]:.0f} edits, {sums[1]:.0f} symbols"

    def signature(self, num_references: int) -> str:
        return f"nrefs:{num_references}|unit:symbol|version:{__version__}"


def phoneme_error_rate(_settings: Evaluation) -> PhonemeErrorRate:
    """Phoneme error rate (PER)."""
    return PhonemeErrorRate()


def symbols(line: str) -> list[str]:
    """Return what stands between spaces, and in scripts without spaces between words, each letter with its marks."""
    return [
        symbol
        for part in line.split()
        for symbol in ([part] if has_spaces_between_words([part]) else words_and_signs(part))
    ]


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the Levenshtein distance: the minimum number of insertions, deletions and substitutions."""
    row = list(range(len(second) + 1))
    for index, symbol in enumerate(first, 1):
        diagonal, row[0] = row[0], index
        for column, other in enumerate(second, 1):
            best = min(diagonal + (symbol != other), row[column] + 1, row[column - 1] + 1)
            diagonal, row[column] = row[column], best
    return row[-1]


def rouge(key: str) -> Callable[[Evaluation], MeanMetric]:
    """ROUGE (Lin 2004) by the package rouge-score, without stemming; the best of several references counts.

    F1 of words (rouge1), word pairs (rouge2) or the longest common subsequence (rougeL).
    """

    def build(_settings: Evaluation) -> MeanMetric:
        _require_package("rouge_score", key)
        from rouge_score.rouge_scorer import RougeScorer
        from rouge_score.tokenizers import Tokenizer

        class UnicodeTokenizer(Tokenizer):  # type: ignore[misc] # the default drops non-ASCII letters
            def tokenize(self, text: str) -> list[str]:
                return lowercase_words(text)

        scorer = RougeScorer([key], tokenizer=UnicodeTokenizer())

        def score_line(hypothesis: str, references: Sequence[str]) -> float:
            return 100 * max(float(scorer.score(reference, hypothesis)[key].fmeasure) for reference in references)

        settings = f"case:lc|tok:words|stem:no|version:{version('rouge-score')}"
        return MeanMetric(key, f"ROUGE-{key.removeprefix('rouge')}", _for_each_line(score_line), settings)

    return build


def meteor(_settings: Evaluation) -> MeanMetric:
    """METEOR (Banerjee & Lavie 2005) by the package nltk; made for English.

    Aligns words by form, Porter stem and WordNet synonyms.
    """
    _require_package("nltk", "meteor")
    return meteor_with(_load_wordnet())


def meteor_with(wordnet: Any) -> MeanMetric:
    """METEOR with the given source of synonyms."""
    from nltk.translate.meteor_score import meteor_score

    def score_line(hypothesis: str, references: Sequence[str]) -> float:
        expected = [lowercase_words(reference) for reference in references]
        return 100 * float(meteor_score(expected, lowercase_words(hypothesis), wordnet=wordnet))

    settings = f"case:lc|tok:words|stem:porter|synonyms:wordnet|version:{version('nltk')}"
    return MeanMetric("meteor", "METEOR", _for_each_line(score_line), settings)


def lowercase_words(line: str) -> list[str]:
    """Return the lower-cased words of a line; on English text those of rouge-score's own tokenizer."""
    return words(line.lower())


def _for_each_line(score_line: Callable[[str, Sequence[str]], float]) -> Callable[[EvaluationTexts], list[float]]:
    """Return a function that scores every hypothesis with its references."""
    return lambda texts: [
        score_line(hypothesis, references)
        for hypothesis, *references in zip(texts.hypotheses, *texts.references, strict=True)
    ]


def _exact_match(hypothesis: str, references: Sequence[str]) -> float:
    return 100.0 * (hypothesis in references)


def _require_package(module: str, key: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise RecipeError(
            f"evaluation.metrics: {key} needs the package {module.replace('_', '-')}, which is not installed;"
            " pip install 'nmt-cli[metrics]'"
        )


def _load_wordnet() -> Any:
    import nltk
    from nltk.corpus import wordnet

    for name in ("corpora/wordnet", "corpora/wordnet.zip"):
        try:
            nltk.data.find(name)
        except LookupError:
            continue
        return wordnet
    raise RecipeError(
        "evaluation.metrics: meteor needs WordNet, which nltk cannot find; download it with"
        " python -m nltk.downloader wordnet"
    )
