"""Data augmentation: random changes of training pairs, for robustness to untidy text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from nmt_cli.data.alignments import WordOrder
from nmt_cli.data.arrays import Booleans
from nmt_cli.data.context import TEXT_SEPARATOR
from nmt_cli.recipe.training import Augmentation
from nmt_cli.text.word_boundaries import graphemes

_FINAL_PUNCTUATION = ".!?…:;。！？．｡؟۔।"
_NUM_DRAWS = 6
"""Random numbers drawn for each changed pair, even if its changes need fewer."""


@dataclass(frozen=True)
class AugmentedPairs:
    """Normalised pairs, some of which have changed."""

    sources: list[str]
    targets: list[str]
    changed: Booleans
    reordered: dict[int, WordOrder] = field(default_factory=dict)
    """By pair, for pairs whose words were repeated, lost or swapped."""

    @classmethod
    def unchanged(cls, sources: list[str], targets: list[str]) -> "AugmentedPairs":
        """Return the pairs as they are."""
        return cls(sources, targets, np.zeros(len(sources), bool))


class Augmenter:
    """Changes each pair with the probabilities of the recipe."""

    def __init__(self, settings: Augmentation, normalize: Callable[[str], str]) -> None:
        self._settings, self._normalize = settings, normalize

    def augment(self, sources: list[str], targets: list[str], rng: np.random.Generator) -> AugmentedPairs:
        """Return the pairs with their changes. A pair whose words would change when normalised is left as it is."""
        settings, num_pairs = self._settings, len(sources)
        case, end, noise, typo = rng.random((4, num_pairs))
        is_upper = case < settings.upper_case
        is_title = ~is_upper & (case < settings.upper_case + settings.title_case)
        loses_end, is_noisy = end < settings.no_final_punctuation, noise < settings.noise
        has_typo = typo < settings.typos
        rows = np.flatnonzero(is_upper | is_title | loses_end | is_noisy | has_typo)
        pairs = AugmentedPairs.unchanged(list(sources), list(targets))
        for row, draws in zip(rows.tolist(), rng.random((len(rows), _NUM_DRAWS)).tolist(), strict=True):
            source, target = (_last_sentence(line).split(" ") for line in (sources[row], targets[row]))
            if loses_end[row]:
                source, target = _without_final_punctuation(source), _without_final_punctuation(target)
            order = _noisy_order(len(source), draws[0], draws[1]) if is_noisy[row] else list(range(len(source)))
            source = [source[word] for word in order]
            if has_typo[row]:
                source = _with_typo(source, draws[2:])
            if is_upper[row] or is_title[row]:
                change = str.upper if is_upper[row] else _capitalized
                source, target = list(map(change, source)), list(map(change, target))
            self._replace(pairs, row, (source, target), order)
        return pairs

    def _replace(self, pairs: AugmentedPairs, row: int, words: tuple[list[str], list[str]], order: list[int]) -> None:
        """Replace the last sentence of a pair; sentences before it stay."""
        lines = pairs.sources[row], pairs.targets[row]
        before = [_last_sentence(line) for line in lines]
        source, target = (self._normalize(" ".join(side)) for side in words)
        if [line.count(" ") + 1 for line in (source, target)] != [len(side) for side in words]:
            return
        pairs.changed[row] = [source, target] != before
        pairs.sources[row] = lines[0].removesuffix(before[0]) + source
        pairs.targets[row] = lines[1].removesuffix(before[1]) + target
        if order != list(range(before[0].count(" ") + 1)) or target.count(" ") != before[1].count(" "):
            pairs.reordered[row] = WordOrder(order, len(words[1]))


def _last_sentence(line: str) -> str:
    return line.rpartition(TEXT_SEPARATOR)[2]


def _without_final_punctuation(words: list[str]) -> list[str]:
    """Remove the punctuation at the end, unless nothing else is left."""
    last = words[-1].rstrip(_FINAL_PUNCTUATION)
    if last:
        return [*words[:-1], last]
    return words[:-1] or words


def _noisy_order(num_words: int, kind_draw: float, word_draw: float) -> list[int]:
    """Return the indices of the words after one was repeated, lost, or swapped with the next."""
    word, order = int(word_draw * num_words), list(range(num_words))
    if num_words == 1 or kind_draw < 1 / 3:
        return [*order[: word + 1], *order[word:]]
    if kind_draw < 2 / 3:
        return [*order[:word], *order[word + 1 :]]
    word = int(word_draw * (num_words - 1))
    return [*order[:word], word + 1, word, *order[word + 2 :]]


def _with_typo(words: list[str], draws: Sequence[float]) -> list[str]:
    """Delete, replace, swap or insert a letter, with its marks, in one of the words that have letters."""
    candidates = [index for index, word in enumerate(words) if any(map(str.isalpha, word))]
    if not candidates:
        return words
    index = candidates[int(draws[0] * len(candidates))]
    word = graphemes(words[index])
    letters = sorted({letter for other in words for letter in graphemes(other) if letter[0].isalpha()})
    position = int(draws[1] * len(word))
    letter = letters[int(draws[2] * len(letters))]
    match int(draws[3] * 4):
        case 0 if len(word) > 1:
            typo = [*word[:position], *word[position + 1 :]]
        case 1 if letter != word[position]:
            typo = [*word[:position], letter, *word[position + 1 :]]
        case 2 if position + 1 < len(word) and word[position] != word[position + 1]:
            typo = [*word[:position], word[position + 1], word[position], *word[position + 2 :]]
        case _:
            typo = [*word[:position], letter, *word[position:]]
    return [*words[:index], "".join(typo), *words[index + 1 :]]


def _capitalized(word: str) -> str:
    return word[:1].upper() + word[1:]
