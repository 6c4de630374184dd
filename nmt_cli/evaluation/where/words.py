"""Words of a line, as BLEU counts them, and how often training has seen them."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sacrebleu.metrics.bleu import BLEU

from nmt_cli.evaluation.metrics.contract import Texts
from nmt_cli.recipe.evaluation import Evaluation

Split = Callable[[str], list[str]]

BANDS = ((0, "never"), (9, "1-9"), (99, "10-99"), (999, "100-999"), (None, "1000+"))
"""Largest number of times a word was seen in training, and the name of all such words."""


@dataclass(frozen=True)
class WordBand:
    """Words that training has seen about as often, and how many of them come out."""

    seen: str
    """Times in the training text, such as 1-9."""
    expected: int
    """In the references (of several sets, the first)."""
    produced: int
    """In the hypotheses."""
    matched: int
    """In both, counted line by line."""
    f1: float | None
    """Between 0 and 100; None if there is no such word."""


def splitter(settings: Evaluation) -> Split:
    """Splits lines as BLEU does, sentence by sentence."""
    tokenizer = BLEU(tokenize=settings.bleu_tokenizer, force=True).tokenizer
    return lambda line: str(tokenizer(line.rstrip())).split()


def frequencies(lines: Iterable[str], split: Split) -> Counter[str]:
    """How often each word stands in training text."""
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(split(line))
    return counts


def band(times: int) -> str:
    """The name of the band of a word that training has seen so many times."""
    return next(name for most, name in BANDS if most is None or times <= most)


def word_bands(texts: Texts, seen: Mapping[str, int], split: Split) -> list[WordBand]:
    """How words come out, by how often training has seen them; rare ones first."""
    counts = {name: [0, 0, 0] for _, name in BANDS}
    for hypothesis, reference in zip(texts.hypotheses, texts.references[0], strict=True):
        produced, expected = Counter(split(hypothesis)), Counter(split(reference))
        for place, words in enumerate((expected, produced, expected & produced)):
            for word, count in words.items():
                counts[band(seen.get(word, 0))][place] += count
    return [
        WordBand(name, expected, produced, matched, _f1(expected, produced, matched))
        for name, (expected, produced, matched) in counts.items()
    ]


def rarest(line: str, seen: Mapping[str, int], split: Split) -> int | None:
    """How often training has seen the rarest word of a line; None if it holds nothing but numbers and punctuation."""
    return min((seen.get(word, 0) for word in split(line) if word.isalpha()), default=None)


def has_words_between_spaces(lines: Sequence[str]) -> bool:
    """Whether the script parts words with spaces, as most lines of any length then show."""
    long = [line for line in lines if len(line) > 10]
    return 2 * sum(" " in line.strip() for line in long) >= len(long)


def _f1(expected: int, produced: int, matched: int) -> float | None:
    return 200 * matched / (expected + produced) if expected + produced else None
