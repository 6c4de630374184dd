"""Test sets disturbed as real text is, and what that costs: capitals, typing mistakes, no full stop."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nmt_cli.evaluation.metrics.contract import Texts

_TYPO_RATE = 0.1
"""Of words; one in ten is what a careless typist leaves."""
_FINAL = ".!?…。！？।"


@dataclass(frozen=True)
class Disturbance:
    """A change of the source that leaves its meaning, and what then does not count when translations are judged."""

    name: str
    disturb: Callable[[str, random.Random], str]
    judged: Callable[[str], str]
    """Applied to hypotheses and references, so that a model is not punished for following its source."""

    def sources(self, lines: Sequence[str]) -> list[str]:
        """Every line disturbed; each by chance of its own, so that lines before it change nothing."""
        return [self.disturb(line, random.Random(f"{self.name} {number}")) for number, line in enumerate(lines)]

    def judge(self, texts: Texts) -> Texts:
        """What is scored."""
        references = [list(map(self.judged, lines)) for lines in texts.references]
        return Texts(list(map(self.judged, texts.hypotheses)), references, texts.sources)


@dataclass(frozen=True)
class Drop:
    """What a disturbance costs by one metric."""

    metric: str
    """Its key."""
    undisturbed: float
    """The score of the test set as it is, judged in the same way."""
    disturbed: float
    difference: float
    """Disturbed less undisturbed."""
    p: float
    """Of that difference, by approximate randomisation."""


@dataclass(frozen=True)
class Robustness:
    """One disturbed test set and its scores."""

    name: str
    """Such as upper case."""
    changed: int
    """Source lines that differ from the original."""
    drops: list[Drop]
    examples: list["DisturbedLine"]
    """Lines whose score falls most."""


@dataclass(frozen=True)
class DisturbedLine:
    """A line and its translation before and after."""

    line: int
    """Counted from 1."""
    source: str
    disturbed_source: str
    hypothesis: str
    disturbed_hypothesis: str


def type_badly(line: str, chance: random.Random) -> str:
    """About one word in ten with two letters swapped, one missing or one doubled."""
    words = line.split(" ")
    return " ".join(_mistype(word, chance) if chance.random() < _TYPO_RATE else word for word in words)


def without_final_punctuation(line: str) -> str:
    """Without what ends the sentence."""
    return line.rstrip().rstrip(_FINAL).rstrip()


def _mistype(word: str, chance: random.Random) -> str:
    letters = [place for place in range(len(word) - 1) if word[place : place + 2].isalpha()]
    if not letters:
        return word
    place = chance.choice(letters)
    before, first, second, after = word[:place], word[place], word[place + 1], word[place + 2 :]
    return before + chance.choice([second + first, second, first + first + second]) + after


DISTURBANCES = (
    Disturbance("upper case", lambda line, _: line.upper(), str.lower),
    Disturbance("title case", lambda line, _: " ".join(w[:1].upper() + w[1:] for w in line.split(" ")), str.lower),
    Disturbance("typing mistakes", type_badly, lambda line: line),
    Disturbance("no final punctuation", lambda line, _: without_final_punctuation(line), without_final_punctuation),
)
