"""Masking: take text out of a line, and record in placeholders what was where.

    <b>Press</b> {key}.   →   "Press." with placeholders <b>…</b> at 0-5 and {key} at 5

Masked are XML tags (entities are decoded), or spans that match a pattern.
"""

import html
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from nmt_cli.decoding.markup.markup_tokens import markup_tokens
from nmt_cli.text.word_boundaries import is_in_word

_VOID_ELEMENTS = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
"""HTML elements without an end tag (void elements)."""
_WORD_SEPARATING = frozenset(
    ["br", "p", "div", "li", "td", "th", "tr", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "dt", "dd", "option"]
)
"""HTML elements that separate words even without a space."""

_MAX_DEPTH = 100
"""Tags within tags. A line with deeper nesting counts as malformed."""

TextSpan = tuple[int, int]
"""Start and end (exclusive), in characters."""
FindSpans = Callable[[str], Sequence[TextSpan]]
"""Returns spans of a text that do not overlap and are not empty, in order."""

CLOSING = ".,;:!?…)]}»”’。，、；：！？）」』"
"""Punctuation that follows a word without a space."""
_BRACKETS = frozenset(["()", "[]", '""', "''", "“”", "„“", "‘’", "«»", "（）", "「」"])
_LEADING = frozenset([",", ":", ";"])
"""Punctuation that is masked together with a span at the beginning of a line, as in "{name}: "."""

Anchor = Literal["next", "previous", "first", "last"]
"""Where a span goes in the translation: before the translation of the next word, behind that of the previous word, or
to the beginning or end of the line."""


@dataclass(frozen=True)
class Placeholder:
    """Something masked: a start and end tag around some text, a single tag, or consecutive protected spans."""

    start: int
    end: int
    """`start` to `end` are the enclosed characters of the masked text; both are equal if it encloses nothing."""
    opening: str
    closing: str = ""
    children: tuple["Placeholder", ...] = ()
    """Nested placeholders, in their order."""
    anchor: Anchor | None = None
    """Of spans only."""
    touches: tuple[bool, bool] = (True, True)
    """Of spans only: whether a word stood directly before, and directly after."""


@dataclass(frozen=True)
class MaskedLine:
    """The text of a line for the model, and what was masked."""

    text: str
    placeholders: tuple[Placeholder, ...] = ()


@dataclass
class _OpenTag:
    """A tag whose end tag has not been read yet."""

    name: str
    opening: str
    start: int
    children: list[Placeholder] = field(default_factory=list)


def mask_markup(line: str) -> MaskedLine | None:
    """Mask the tags of a line and decode its entities. Return None if the tags are not well nested.

    Comments, processing instructions and declarations are masked, too. The content of a CDATA section is text, without
    entities; the section itself is not kept, because the text comes out with entities.
    """
    text = ""
    stack = [_OpenTag("", "", 0)]
    for token in markup_tokens(line):
        raw, name = line[token.start : token.end], token.name
        if token.kind in ("text", "cdata"):
            try:
                text += raw.removeprefix("<![CDATA[")[:-3] if token.kind == "cdata" else html.unescape(raw)
            except ValueError:  # the number of a character has thousands of digits
                return None
            continue
        following = line[token.end : token.end + 1].strip()
        if name in _WORD_SEPARATING and text and not text[-1].isspace() and following:
            text += " "
        if token.kind == "end":
            if stack[-1].name != name or len(stack) == 1:
                return None
            tag = stack.pop()
            stack[-1].children.append(Placeholder(tag.start, len(text), tag.opening, raw, tuple(tag.children)))
        elif token.kind == "single" or name in _VOID_ELEMENTS:
            stack[-1].children.append(Placeholder(len(text), len(text), raw))
        else:
            stack.append(_OpenTag(name, raw, len(text)))
        if len(stack) > _MAX_DEPTH:
            return None
    if len(stack) > 1:
        return None
    return MaskedLine(text, tuple(stack[0].children))


def mask_tags(line: str) -> MaskedLine:
    """Mask each tag by itself, well nested or not. Entities are not decoded."""
    return mask_spans(
        MaskedLine(line),
        lambda text: [(each.start, each.end) for each in markup_tokens(text) if each.kind != "text"],
    )


def pattern_spans(pattern: re.Pattern[str]) -> FindSpans:
    """Return a function that finds the matches of a pattern."""
    return lambda text: [found.span() for found in pattern.finditer(text) if found[0]]


def mask_spans(masked: MaskedLine, find: FindSpans) -> MaskedLine:
    """Mask also the spans that a function finds in the text. Consecutive spans become one placeholder."""
    line, text = masked.text, list[str]()  # characters
    # Of each span: its end in the line, the characters removed up to there, its position in the text.
    line_end = len(line.rstrip())
    ends, removed, positions, spans = [0], [0], list[int](), list[Placeholder]()
    for start, end in _spans_to_mask(masked, find):
        text.extend(line[ends[-1] : start])
        before, after = line[start - 1 : start] if start else "", line[end : end + 1]
        last = len(text)  # without white space at its end
        while last and text[last - 1].isspace():
            last -= 1
        if after and after in CLOSING and last and is_in_word(text[last - 1]):
            del text[max(last, positions[-1] if positions else 0) :]
        last_visible = text[last - 1] if last else ""
        anchor = _anchor(
            last_visible, bool(text) and is_in_word(text[-1]), line[start:end], after if end < line_end else ""
        )
        touches = (is_in_word(before), is_in_word(after))
        spans.append(Placeholder(start, start, line[start:end], anchor=anchor, touches=touches))
        positions.append(len(text))
        if text and text[-1].strip() and after.strip() and after not in CLOSING:
            text.append(" ")
        ends.append(end)
        removed.append(end - len(text))
    text.extend(line[ends[-1] :])

    def new_position(position: int) -> int:
        """Return where a character of the line is in the text; for a masked one, where its span was."""
        index = bisect_right(ends, position) - 1
        moved = position - removed[index]
        return min(moved, positions[index]) if index < len(positions) else moved

    return MaskedLine(
        "".join(text), tuple(_move(each, new_position) for each in _insert_spans(masked.placeholders, spans))
    )


def count_spans(text: str, find: FindSpans) -> Counter[str]:
    """Count each different text of a span."""
    return Counter(text[start:end] for start, end in find(text))


def escape_markup(text: str) -> str:
    """Encode the characters &, < and > as entities."""
    return html.escape(text, quote=False)


def _spans_to_mask(masked: MaskedLine, find: FindSpans) -> list[TextSpan]:
    """Return what to mask of a text: each span, or run of spans, with brackets or quotes that enclose only it.

    At the beginning of the line the punctuation after the match is included, as in "{name}: ". No span crosses a tag.
    """
    line, tags = masked.text, set(_boundaries(masked.placeholders))
    found = list[TextSpan]()
    for start, end in find(line):
        last = found[-1][1] if found else 0
        if found and not line[last:start].strip() and tags.isdisjoint(range(last, start + 1)):
            found[-1] = found[-1][0], end
        else:
            found.append((start, end))
    widened = list[TextSpan]()
    first_visible = len(line) - len(line.lstrip())
    for start, end in found:
        last = widened[-1][1] if widened else 0
        if tags.isdisjoint((start, end)):
            if start > last and line[start - 1] + line[end : end + 1] in _BRACKETS:
                start, end = start - 1, end + 1
            elif start <= first_visible and line[end : end + 1] in _LEADING and line[end + 1 : end + 2].isspace():
                end += 1
        widened.append((start, end))
    return widened


def _boundaries(placeholders: Iterable[Placeholder]) -> Iterator[int]:
    for placeholder in placeholders:
        yield from (placeholder.start, placeholder.end)
        yield from _boundaries(placeholder.children)


def _anchor(last_visible: str, touches_before: bool, span: str, after: str) -> Anchor:
    """Return the anchor of a span by what remains of the line before and after it.

    Args:
        last_visible: The last visible character before it; empty if there is none.
        after: The character after it; empty if no visible character follows.
    """
    if not last_visible:
        return "first" if span[-1] in _LEADING else "next"
    if touches_before and after.isspace():
        return "previous"
    if not after:
        return "previous" if is_in_word(last_visible) else "last"
    return "next" if is_in_word(after) or after.isspace() else "previous"


def _move(placeholder: Placeholder, new_position: Callable[[int], int]) -> Placeholder:
    """Move a placeholder. If only spans are left in it, it gets their anchor."""
    children = tuple(_move(each, new_position) for each in placeholder.children)
    start, end = new_position(placeholder.start), new_position(placeholder.end)
    moved = replace(placeholder, start=start, end=end, children=children)
    if moved.start < moved.end or not children:
        return moved
    return replace(moved, anchor=children[0].anchor, touches=(children[0].touches[0], children[-1].touches[1]))


def _insert_spans(placeholders: Sequence[Placeholder], spans: Sequence[Placeholder]) -> tuple[Placeholder, ...]:
    """Insert spans, in order, among the placeholders of one level, or into those that enclose them."""
    merged, index = list[Placeholder](), 0
    for each in placeholders:
        while index < len(spans) and spans[index].start < each.start:
            merged.append(spans[index])
            index += 1
        first = index
        while each.closing and index < len(spans) and spans[index].start < each.end:
            index += 1
        merged.append(replace(each, children=_insert_spans(each.children, spans[first:index])))
    return (*merged, *spans[index:])
