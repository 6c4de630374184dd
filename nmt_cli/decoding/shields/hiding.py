"""Lines → text to translate and what is hidden of them: XML tags and entities, or spans that a pattern matches."""

import html
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from nmt_cli.decoding.shields.elements import Beside, Element, Hidden

_TAG = re.compile(r"<!--.*?-->|<(/?)([A-Za-z_][\w:.-]*)(?:\s[^<>]*?|)(/?)>", re.DOTALL)
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
"""Elements of HTML that have no end tag."""
_BREAKING = frozenset(
    ["br", "p", "div", "li", "td", "th", "tr", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "dt", "dd", "option"]
)
"""Words on the two sides of such a tag are two, even if no space is between them."""

CLOSING = ".,;:!?…)]}»”’。，、；：！？）」』"
"""Signs that follow a word without a space."""
_PAIRS = frozenset(["()", "[]", '""', "''", "“”", "„“", "‘’", "«»", "（）", "「」"])
_LEADING = frozenset([",", ":", ";"])


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
    """Take out, too, what a pattern matches in the text; what stands in a row is taken out together."""
    line, text = hidden.text, ""
    ends, gone, places, spans = [0], [0], list[int](), list[Element]()
    for start, end in _stretches(hidden, pattern):
        text += line[ends[-1] : start]
        before, after = line[start - 1 : start] if start else "", line[end : end + 1]
        if after and after in CLOSING and text.rstrip()[-1:].isalnum():
            text = text[: max(len(text.rstrip()), places[-1] if places else 0)]
        beside = _beside(text, line[start:end], line[end:])
        touches = (before.isalnum(), after.isalnum())
        spans.append(Element(start, start, line[start:end], beside=beside, touches=touches))
        places.append(len(text))
        if text[-1:].strip() and after.strip() and after not in CLOSING:
            text += " "
        ends.append(end)
        gone.append(end - len(text))
    text += line[ends[-1] :]

    def moved(place: int) -> int:
        """Where a character of the text is now; of one that is gone, where it would be."""
        number = bisect_right(ends, place) - 1
        moved = place - gone[number]
        return min(moved, places[number]) if number < len(places) else moved

    return Hidden(text, tuple(_moved(element, moved) for element in _sorted_in(hidden.elements, spans)))


def spans_of(text: str, pattern: re.Pattern[str]) -> Counter[str]:
    """How often a text has each thing that a pattern matches."""
    return Counter(found[0] for found in pattern.finditer(text) if found[0])


def shown(text: str) -> str:
    """A translation with the signs of markup as entities again."""
    return html.escape(text, quote=False)


def _stretches(hidden: Hidden, pattern: re.Pattern[str]) -> list[tuple[int, int]]:
    """What to take out of a text: matches, those in a row as one, with the brackets or quotes that hold nothing else.

    At the line's beginning the sign after it goes along, as in "{name}: ". No stretch reaches over a tag.
    """
    line, tags = hidden.text, set(_boundaries(hidden.elements))
    found = list[tuple[int, int]]()
    for start, end in (match.span() for match in pattern.finditer(line) if match[0]):
        last = found[-1][1] if found else 0
        if found and not line[last:start].strip() and tags.isdisjoint(range(last, start + 1)):
            found[-1] = found[-1][0], end
        else:
            found.append((start, end))
    widened = list[tuple[int, int]]()
    for start, end in found:
        last = widened[-1][1] if widened else 0
        if tags.isdisjoint((start, end)):
            if start > last and line[start - 1] + line[end : end + 1] in _PAIRS:
                start, end = start - 1, end + 1
            elif not line[:start].strip() and line[end : end + 1] in _LEADING and line[end + 1 : end + 2].isspace():
                end += 1
        widened.append((start, end))
    return widened


def _boundaries(elements: Iterable[Element]) -> Iterator[int]:
    for element in elements:
        yield from (element.start, element.end)
        yield from _boundaries(element.inner)


def _beside(before: str, span: str, after: str) -> Beside:
    """What a span goes with, by what remains of the line before and after it."""
    before_is_touched, before = before[-1:].isalnum(), before.rstrip()
    if not before:
        return "first" if span[-1] in _LEADING else "next"
    if before_is_touched and after[:1].isspace():
        return "previous"
    if not after.strip():
        return "previous" if before[-1].isalnum() else "last"
    return "next" if after[0].isalnum() or after[0].isspace() else "previous"


def _moved(element: Element, moved: Callable[[int], int]) -> Element:
    """An element with other places; one of which only spans are left goes where they would."""
    inner = tuple(_moved(each, moved) for each in element.inner)
    element = replace(element, start=moved(element.start), end=moved(element.end), inner=inner)
    if element.start < element.end or not inner:
        return element
    return replace(element, beside=inner[0].beside, touches=(inner[0].touches[0], inner[-1].touches[1]))


def _sorted_in(elements: Sequence[Element], spans: Sequence[Element]) -> tuple[Element, ...]:
    """Elements of one level with spans among them: within the element that encloses them, or else beside."""
    merged, rest = list[Element](), list(spans)
    for element in elements:
        within = [] if element.is_alone else [span for span in rest if element.start <= span.start < element.end]
        rest = [span for span in rest if span not in within]
        merged.append(replace(element, inner=_sorted_in(element.inner, within)))
    return tuple(sorted([*merged, *rest], key=lambda element: element.start))
