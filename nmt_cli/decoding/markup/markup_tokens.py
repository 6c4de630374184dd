"""Split a line of XML or HTML into text, tags, comments, processing instructions and CDATA, in linear time.

Other than a parser of documents, this accepts anything: what is not markup, such as a lone `<`, is text.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

_NAME = r"[^\W\d][\w:.-]*+"
_TAG = re.compile(
    rf"""<(?P<end>/?)(?P<name>{_NAME})
    (?:
        (?:\s++[^\s<>"'/=]++(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s<>"'=`]++))?+)*+\s*+(?P<empty>/?)>  # attributes
        | (?:\s[^<>]*+)?+(?P<closed>(?<=/))?>  # anything up to the next bracket
    )""",
    re.VERBOSE,
)
_DECLARATION = re.compile(r"<![A-Za-z][^<>]*+>")
_SECTIONS = {"<!--": "-->", "<![CDATA[": "]]>", "<?": "?>"}

TokenKind = Literal["text", "cdata", "start", "end", "single"]


class MarkupToken(NamedTuple):
    """A part of a line."""

    kind: TokenKind
    """`single` is a self-closing tag, a comment, a processing instruction or a declaration."""
    start: int
    end: int
    """Characters `start` to `end` of the line."""
    name: str = ""
    """Of a tag, in lower case."""


def markup_tokens(line: str) -> Iterator[MarkupToken]:
    """Yield the parts of a line, in order and without gaps."""
    text_start = position = 0
    endless = set[str]()
    """Ends of sections that do not occur in the rest of the line, so that they are searched for only once."""
    while (position := line.find("<", position)) >= 0:
        token = _markup_at(line, position, endless)
        if token is None:
            position += 1
            continue
        if text_start < position:
            yield MarkupToken("text", text_start, position)
        yield token
        text_start = position = token.end
    if text_start < len(line):
        yield MarkupToken("text", text_start, len(line))


def _markup_at(line: str, position: int, endless: set[str]) -> MarkupToken | None:
    """Return the markup that begins with the `<` at a position, if any does."""
    for opening, closing in _SECTIONS.items():
        if line.startswith(opening, position):
            end = -1 if closing in endless else line.find(closing, position + len(opening))
            if end < 0:
                endless.add(closing)
                return None
            return MarkupToken("cdata" if opening == "<![CDATA[" else "single", position, end + len(closing))
    if found := _TAG.match(line, position):
        is_single = found["empty"] or found["closed"] is not None
        kind: TokenKind = "end" if found["end"] else "single" if is_single else "start"
        return MarkupToken(kind, position, found.end(), found["name"].lower())
    declaration = _DECLARATION.match(line, position)
    return MarkupToken("single", position, declaration.end()) if declaration else None
