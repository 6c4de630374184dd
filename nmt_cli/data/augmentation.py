"""Changes some pairs by chance, so that a model learns to bear text that is not tidy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nmt_cli.data.cutting import SEPARATOR
from nmt_cli.recipe.training.mixing import Augmentation

_FINAL = ".!?…:;。！？．｡؟۔।"
_DRAWS = 6
"""For each pair that changes; what a change has no use for is drawn all the same."""


@dataclass(frozen=True)
class MovedWords:
    """What became of the words of a pair."""

    origins: list[int]
    """For each word of the source: which it was."""
    targets: int
    """Words of the target, of which only the last may be lost."""


@dataclass(frozen=True)
class Altered:
    """Normalised pairs, of which some have changed."""

    sources: list[str]
    targets: list[str]
    changed: npt.NDArray[np.bool_]
    moved: dict[int, MovedWords] = field(default_factory=dict)
    """By pair, where the words are not those there were."""

    @classmethod
    def nowhere(cls, sources: list[str], targets: list[str]) -> "Altered":
        """Pairs as they are."""
        return cls(sources, targets, np.zeros(len(sources), bool))


class Augmenter:
    """Changes each pair with the probabilities of the recipe; what is drawn follows from the generator alone."""

    def __init__(self, settings: Augmentation, normalize: Callable[[str], str]) -> None:
        self._settings, self._normalize = settings, normalize

    def altered(self, sources: list[str], targets: list[str], generator: np.random.Generator) -> Altered:
        """The pairs with their changes. One that would have other words once normalised is left as it is."""
        settings, count = self._settings, len(sources)
        case, end, noise, typo = generator.random((4, count))
        is_upper = case < settings.upper_case
        is_title = ~is_upper & (case < settings.upper_case + settings.title_case)
        loses_end, is_noisy = end < settings.no_final_punctuation, noise < settings.noise
        has_typo = typo < settings.typos
        rows = np.flatnonzero(is_upper | is_title | loses_end | is_noisy | has_typo)
        found = Altered.nowhere(list(sources), list(targets))
        for row, draws in zip(rows.tolist(), generator.random((len(rows), _DRAWS)).tolist(), strict=True):
            source, target = (_last_sentence(line).split(" ") for line in (sources[row], targets[row]))
            if loses_end[row]:
                source, target = _without_end(source), _without_end(target)
            order = _noisy_order(len(source), draws[0], draws[1]) if is_noisy[row] else list(range(len(source)))
            source = [source[word] for word in order]
            if has_typo[row]:
                source = _mistyped(source, draws[2:])
            if is_upper[row] or is_title[row]:
                change = str.upper if is_upper[row] else _capitalized
                source, target = list(map(change, source)), list(map(change, target))
            self._settle(found, row, (source, target), order)
        return found

    def _settle(self, found: Altered, row: int, words: tuple[list[str], list[str]], order: list[int]) -> None:
        """Put a pair's words in the place of those there were; the sentences before them stay."""
        lines = found.sources[row], found.targets[row]
        before = [_last_sentence(line) for line in lines]
        source, target = (self._normalize(" ".join(side)) for side in words)
        if [line.count(" ") + 1 for line in (source, target)] != [len(side) for side in words]:
            return
        found.changed[row] = [source, target] != before
        found.sources[row] = lines[0].removesuffix(before[0]) + source
        found.targets[row] = lines[1].removesuffix(before[1]) + target
        if order != list(range(before[0].count(" ") + 1)) or target.count(" ") != before[1].count(" "):
            found.moved[row] = MovedWords(order, len(words[1]))


def _last_sentence(line: str) -> str:
    return line.rpartition(SEPARATOR)[2]


def _without_end(words: list[str]) -> list[str]:
    """Without the punctuation at the end of the line, unless nothing else is there."""
    last = words[-1].rstrip(_FINAL)
    if last:
        return [*words[:-1], last]
    return words[:-1] or words


def _noisy_order(count: int, kind: float, place: float) -> list[int]:
    """The order of words of which one is lost, comes twice, or changes its place with the next."""
    word, order = int(place * count), list(range(count))
    if count == 1 or kind < 1 / 3:
        return [*order[: word + 1], *order[word:]]
    if kind < 2 / 3:
        return [*order[:word], *order[word + 1 :]]
    word = int(place * (count - 1))
    return [*order[:word], word + 1, word, *order[word + 2 :]]


def _mistyped(words: list[str], draws: Sequence[float]) -> list[str]:
    """With a letter too many, too few, another, or two in the wrong order, in one of the words that have letters."""
    candidates = [number for number, word in enumerate(words) if any(map(str.isalpha, word))]
    if not candidates:
        return words
    number = candidates[int(draws[0] * len(candidates))]
    word = words[number]
    letters = sorted({letter for other in words for letter in other if letter.isalpha()})
    place = int(draws[1] * len(word))
    letter = letters[int(draws[2] * len(letters))]
    match int(draws[3] * 4):
        case 0 if len(word) > 1:
            mistyped = word[:place] + word[place + 1 :]
        case 1 if letter != word[place]:
            mistyped = word[:place] + letter + word[place + 1 :]
        case 2 if place + 1 < len(word) and word[place] != word[place + 1]:
            mistyped = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        case _:
            mistyped = word[:place] + letter + word[place:]
    return [*words[:number], mistyped, *words[number + 1 :]]


def _capitalized(word: str) -> str:
    return word[:1].upper() + word[1:]
