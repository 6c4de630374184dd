"""Lines → text to translate and what is hidden of them: XML tags and entities, or spans that a pattern matches."""

import html
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from nmt_cli.decoding.shields.elements import Element, Hidden

_TAG = re.compile(r"<!--.*?-->|<(/?)([A-Za-z_][\w:.-]*)(?:\s[^<>]*?|)(/?)>", re.DOTALL)
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
"""Elements of HTML that have no end tag."""
_BREAKING = frozenset(
    ["br", "p", "div", "li", "td", "th", "tr", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "dt", "dd", "option"]
)
"""Words on the two sides of such a tag are two, even if no space is between them."""


@dataclass
class _Open:
    """An element whose end tag is still to come."""

    name: str
    opening: str
    start: int
    inner: list[Element] = field(default_factory=list)


def hide_markup(line: str) -> Hidden | None:
    """Take the tags out of a line and read its entities; None if its tags are not well nested."""
    text, place = "", 0
    stack = [_Open("", "", 0)]
    for found in _TAG.finditer(line):
        text += html.unescape(line[place : found.start()])
        place = found.end()
        closes, name, closed = found.group(1), (found.group(2) or "").lower(), bool(found.group(3))
        if name in _BREAKING and text and not text[-1].isspace() and line[place : place + 1].strip():
            text += " "
        if closes:
            if stack[-1].name != name or len(stack) == 1:
                return None
            done = stack.pop()
            stack[-1].inner.append(Element(done.start, len(text), done.opening, found[0], tuple(done.inner)))
        elif closed or not name or name in _VOID:
            stack[-1].inner.append(Element(len(text), len(text), found[0]))
        else:
            stack.append(_Open(name, found[0], len(text)))
    if len(stack) > 1:
        return None
    return Hidden(text + html.unescape(line[place:]), tuple(stack[0].inner))


def hide_tags(line: str) -> Hidden:
    """Take out each tag by itself, however they are nested; entities stay as they are."""
    return hide_spans(Hidden(line), _TAG)


def hide_spans(hidden: Hidden, pattern: re.Pattern[str]) -> Hidden:
    """Take out, too, what a pattern matches in the text."""
    text, ends, gone, spans = "", list[int](), list[int](), list[Element]()
    for found in pattern.finditer(hidden.text):
        if not found[0]:
            continue
        text += hidden.text[ends[-1] if ends else 0 : found.start()]
        before, after = hidden.text[: found.start()][-1:], hidden.text[found.end() : found.end() + 1]
        spaced = (before.isspace(), after.isspace())
        spans.append(Element(len(text), len(text), found[0], spaced=spaced))
        text += " " if text and before.strip() and after.strip() else ""
        ends.append(found.end())
        gone.append(found.end() - len(text))
    text += hidden.text[ends[-1] if ends else 0 :]

    def moved(place: int) -> int:
        """Where a character of the text is now; of one that is gone, where it would be."""
        number = bisect_right(ends, place)
        moved = place - (gone[number - 1] if number else 0)
        return min(moved, spans[number].start) if number < len(spans) else moved

    return Hidden(text, _sorted_in([_moved(element, moved) for element in hidden.elements], spans))


def spans_of(text: str, pattern: re.Pattern[str]) -> Counter[str]:
    """How often a text has each thing that a pattern matches."""
    return Counter(found[0] for found in pattern.finditer(text) if found[0])


def shown(text: str) -> str:
    """A translation with the signs of markup as entities again."""
    return html.escape(text, quote=False)


def _moved(element: Element, moved: Callable[[int], int]) -> Element:
    inner = tuple(_moved(each, moved) for each in element.inner)
    return replace(element, start=moved(element.start), end=moved(element.end), inner=inner)


def _sorted_in(elements: Sequence[Element], spans: Sequence[Element]) -> tuple[Element, ...]:
    """Elements of one level with spans among them: within the element that encloses them, or else beside."""
    merged, rest = list[Element](), list(spans)
    for element in elements:
        within = [] if element.is_alone else [span for span in rest if element.start <= span.start < element.end]
        rest = [span for span in rest if span not in within]
        merged.append(replace(element, inner=_sorted_in(element.inner, within)))
    return tuple(sorted([*merged, *rest], key=lambda element: element.start))
