"""Hidden elements back into a translation, where the words they stood at went."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from nmt_cli.decoding.shields.elements import Element, Hidden
from nmt_cli.decoding.shields.hiding import CLOSING

_WORD = re.compile(r"[^ \t]+")

Link = tuple[int, int]
"""A word of the source and one of the translation, by number; words stand between spaces and tabs."""
Bounds = tuple[int, int]


def put_back(hidden: Hidden, translation: str, links: Iterable[Link], show: Callable[[str], str]) -> str:
    """The translation with each element in it exactly once, nested as it was; `show` writes the text between.

    An element goes around the words which answer to those that it enclosed, less what would enclose more strangers
    than it has words of its own. What stands alone goes before the word that answers to the next one.
    """
    return _Placing(hidden.text, translation, links).write(hidden.elements, (0, len(translation)), show)


@dataclass(frozen=True)
class _Placed:
    """An element and the characters of the translation that it encloses."""

    start: int
    end: int
    element: Element


class _Placing:
    """One line, its translation, and the words that answer to each other."""

    def __init__(self, source: str, target: str, links: Iterable[Link]) -> None:
        self.source, self.target = source, target
        self.source_words = [found.span() for found in _WORD.finditer(source)]
        self.target_words = [found.span() for found in _WORD.finditer(target)]
        self.links = sorted(
            {(one, other) for one, other in links if one < len(self.source_words) and other < len(self.target_words)}
        )

    def write(self, elements: Sequence[Element], bounds: Bounds, show: Callable[[str], str]) -> str:
        """The text within bounds, and the elements of one level in it."""
        written, place = "", bounds[0]
        for placed in self._side_by_side(elements, bounds):
            element = placed.element
            written += show(self.target[place : placed.start])
            lead, tail = self._apart(written[-1:], self.target[placed.start : bounds[1]][:1], element)
            inner = self.write(element.inner, (placed.start, placed.end), show)
            written += lead + element.opening + inner + element.closing + tail
            place = placed.end
        return written + show(self.target[place : bounds[1]])

    def _side_by_side(self, elements: Sequence[Element], bounds: Bounds) -> list[_Placed]:
        """Elements of one level in their order in the translation, none reaching into another or beyond the bounds."""
        wanted = [(*self._range(element), number) for number, element in enumerate(elements)]
        placed, free = [], bounds[0]
        for start, end, number in sorted(wanted):
            start = min(max(start, free), bounds[1])
            free = min(max(end, start), bounds[1])
            placed.append(_Placed(start, free, elements[number]))
        return placed

    def _range(self, element: Element) -> Bounds:
        """The characters of the translation that an element asks for."""
        first = bisect_right([end for _, end in self.source_words], element.start)
        last = bisect_left([start for start, _ in self.source_words], element.end)
        answers = sorted({other for one, other in self.links if first <= one < last})
        if element.start == element.end or not answers:
            place = self._alone(element, first)
            return place, place
        begin, stop = _densest(answers)
        start = self._character(element.start, first, begin, at_end=False)
        return start, max(start, self._character(element.end, last - 1, stop, at_end=True))

    def _alone(self, element: Element, following: int) -> int:
        """Where an element goes that encloses nothing; `following` is the next source word."""
        if element.beside == "first":
            return 0
        if element.beside == "last":
            return len(self.target)
        before = [other for one, other in self.links if self.source_words[one][0] < element.start]
        if element.beside == "previous" and before:
            start, end = self.target_words[before[-1]]
            return start + len(self.target[start:end].rstrip(CLOSING))
        return self._before(following)

    def _before(self, word: int) -> int:
        """Where the answer to a source word, or to the next that has one, begins; else behind that of the last."""
        following = [(one, other) for one, other in self.links if one >= word]
        if following:
            return self.target_words[following[0][1]][0]
        return self.target_words[self.links[-1][1]][1] if self.links and word else len(self.target)

    def _character(self, place: int, one: int, other: int, at_end: bool) -> int:
        """Where a boundary at a character of source word `one` falls in target word `other`.

        Within words that are spelled the same it is known; before or behind punctuation it stays there.
        """
        source_start, source_end = self.source_words[one]
        start, end = self.target_words[other]
        inside = source_start < place < source_end
        if inside and self.source[source_start:source_end] == self.target[start:end]:
            return start + place - source_start
        word = self.target[start:end]
        if at_end:
            rest = self.source[place:source_end]
            return start + len(word.rstrip(rest)) if inside and not any(map(str.isalnum, rest)) else end
        rest = self.source[source_start:place]
        return end - len(word.lstrip(rest)) if inside and not any(map(str.isalnum, rest)) else start

    def _apart(self, before: str, after: str, element: Element) -> tuple[str, str]:
        """The spaces that keep a span from words which it did not touch, by the characters on its two sides."""
        touches_before, touches_after = element.touches
        is_led = touches_before or not before.strip()
        is_followed = touches_after or not after.strip() or after in CLOSING
        return "" if is_led else " ", "" if is_followed else " "


def _densest(numbers: Sequence[int]) -> Bounds:
    """The run, first and last, with the most of these numbers, each other one within it taken off."""
    best, score, start = (numbers[0], numbers[0]), 0, numbers[0]
    most = 0
    for place, number in enumerate(numbers):
        gap = number - numbers[place - 1] - 1 if place else 0
        score, start = (score - gap + 1, start) if place and score > gap else (1, number)
        if score > most:
            most, best = score, (start, number)
    return best
