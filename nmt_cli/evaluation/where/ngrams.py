"""Words and phrases that translations hold too often and too rarely, against the references."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nmt_cli.evaluation.metrics.contract import Texts
from nmt_cli.evaluation.where.words import Split

LONGEST = 4
"""Words; as in BLEU."""


@dataclass(frozen=True)
class Ngram:
    """A phrase and how often it stands in the texts."""

    words: str
    """Parted by spaces."""
    produced: int
    """In the hypotheses."""
    expected: float
    """In the references; of several sets, their mean."""
    surplus: float
    """How much more often it was produced than expected; a lack is below zero."""


@dataclass(frozen=True)
class Ngrams:
    """Phrases that are furthest from what the references hold."""

    too_often: list[Ngram]
    too_rarely: list[Ngram]


def ngrams(texts: Texts, split: Split, shown: int) -> Ngrams:
    """The phrases of one to four words with the largest surplus and the largest lack, `shown` of each at most.

    A phrase that is as far off as a longer one which holds it is left out: `in front of` says more than `front`.
    """
    produced = _counts(texts.hypotheses, split)
    expected = Counter[str]()
    for lines in texts.references:
        expected.update(_counts(lines, split))
    sets = len(texts.references)
    found = [
        Ngram(words, produced[words], expected[words] / sets, produced[words] - expected[words] / sets)
        for words in produced.keys() | expected.keys()
    ]
    return Ngrams(
        _furthest([phrase for phrase in found if phrase.surplus > 0], shown),
        _furthest([phrase for phrase in found if phrase.surplus < 0], shown),
    )


def _counts(lines: Sequence[str], split: Split) -> Counter[str]:
    counts: Counter[str] = Counter()
    for line in lines:
        words = split(line)
        for length in range(1, LONGEST + 1):
            counts.update(" ".join(words[start : start + length]) for start in range(len(words) - length + 1))
    return counts


def _furthest(found: list[Ngram], shown: int) -> list[Ngram]:
    ordered = sorted(found, key=lambda phrase: (-abs(phrase.surplus), -phrase.words.count(" "), phrase.words))
    chosen: list[Ngram] = []
    for phrase in ordered:
        if len(chosen) == shown:
            break
        within = f" {phrase.words} "
        if not any(within in f" {other.words} " and other.surplus == phrase.surplus for other in chosen):
            chosen.append(phrase)
    return chosen
