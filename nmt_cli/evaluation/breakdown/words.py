"""Words by their frequency in the training text, and n-grams that translations overproduce or underproduce."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nmt_cli.evaluation.metrics.metric import EvaluationTexts
from nmt_cli.text.word_boundaries import words_and_signs

FREQUENCY_BANDS = ((0, "never"), (9, "1-9"), (99, "10-99"), (999, "100-999"), (None, "1000+"))
"""(maximum count in the training text, name) of each band."""
_MAX_NGRAM_LENGTH = 4
"""As in BLEU."""


@dataclass(frozen=True)
class WordBand:
    """Words of similar frequency in the training text, and how many of them are translated correctly."""

    band: str
    """Occurrences in the training text, such as 1-9."""
    expected: int
    """Occurrences in the first set of references."""
    produced: int
    """Occurrences in the hypotheses."""
    matched: int
    """Occurrences in both, counted line by line."""
    f1: float | None
    """Between 0 and 100; None if there are no such words."""


@dataclass(frozen=True)
class NgramCount:
    """An n-gram and its number of occurrences."""

    ngram: str
    """Words joined by spaces."""
    produced: int
    """Occurrences in the hypotheses."""
    expected: float
    """Mean number of occurrences per set of references."""
    surplus: float
    """`produced` minus `expected`."""


@dataclass(frozen=True)
class NgramDifferences:
    """The n-grams whose counts differ most between hypotheses and references."""

    overproduced: list[NgramCount]
    underproduced: list[NgramCount]


def count_words(lines: Iterable[str]) -> Counter[str]:
    """Count the words and signs of a text."""
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(words_and_signs(line))
    return counts


def frequency_band(count: int) -> str:
    """Return the name of the band of a word with this count in the training text."""
    return next(name for max_count, name in FREQUENCY_BANDS if max_count is None or count <= max_count)


def word_bands(texts: EvaluationTexts, word_counts: Mapping[str, int]) -> list[WordBand]:
    """Return the word accuracy of each frequency band, rarest first. `word_counts` are those of the training text."""
    totals = {name: [0, 0, 0] for _, name in FREQUENCY_BANDS}
    for hypothesis, reference in zip(texts.hypotheses, texts.references[0], strict=True):
        produced, expected = Counter(words_and_signs(hypothesis)), Counter(words_and_signs(reference))
        for column, words in enumerate((expected, produced, expected & produced)):
            for word, count in words.items():
                totals[frequency_band(word_counts.get(word, 0))][column] += count
    return [
        WordBand(name, expected, produced, matched, _f1(expected, produced, matched))
        for name, (expected, produced, matched) in totals.items()
    ]


def min_word_count(line: str, word_counts: Mapping[str, int]) -> int | None:
    """Return the training count of the rarest word of a line; None if it has only numbers and punctuation."""
    with_letters = (word for word in words_and_signs(line) if any(map(str.isalpha, word)))
    return min((word_counts.get(word, 0) for word in with_letters), default=None)


def compare_ngrams(texts: EvaluationTexts, max_ngrams: int) -> NgramDifferences:
    """Find the n-grams of one to four words or signs with the largest surplus and the largest deficit.

    An n-gram within a longer one of equal surplus is omitted: `in front of` is more informative than `front`.

    Args:
        max_ngrams: Maximum length of each of the two lists.
    """
    produced = _count_ngrams(texts.hypotheses)
    expected = Counter[str]()
    for lines in texts.references:
        expected.update(_count_ngrams(lines))
    sets = len(texts.references)
    counts = [
        NgramCount(ngram, produced[ngram], expected[ngram] / sets, produced[ngram] - expected[ngram] / sets)
        for ngram in produced.keys() | expected.keys()
    ]
    return NgramDifferences(
        _largest_differences([each for each in counts if each.surplus > 0], max_ngrams),
        _largest_differences([each for each in counts if each.surplus < 0], max_ngrams),
    )


def _count_ngrams(lines: Sequence[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for line in lines:
        words = words_and_signs(line)
        for length in range(1, _MAX_NGRAM_LENGTH + 1):
            counts.update(" ".join(words[start : start + length]) for start in range(len(words) - length + 1))
    return counts


def _largest_differences(counts: list[NgramCount], max_ngrams: int) -> list[NgramCount]:
    ordered = sorted(counts, key=lambda each: (-abs(each.surplus), -each.ngram.count(" "), each.ngram))
    chosen: list[NgramCount] = []
    for each in ordered:
        if len(chosen) == max_ngrams:
            break
        padded = f" {each.ngram} "
        if not any(padded in f" {other.ngram} " and other.surplus == each.surplus for other in chosen):
            chosen.append(each)
    return chosen


def _f1(expected: int, produced: int, matched: int) -> float | None:
    return 200 * matched / (expected + produced) if expected + produced else None
