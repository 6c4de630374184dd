"""What a user asks for: a line, and what is wished of its translation."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nmt_cli.data.context import sliding_window
from nmt_cli.decoding.pieces import is_blank


@dataclass(frozen=True)
class Request:
    """A line to translate, with wishes in raw text."""

    text: str
    prefix: str = ""
    """How the translation begins."""
    required: tuple[str, ...] = ()
    """Words or phrases that the translation holds."""
    forbidden: tuple[str, ...] = ()
    """Words or phrases that it does not hold."""
    target_language: str | None = None
    """Into which language, of those that the model knows; None: the usual one."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What came with it, and goes out with its translation again in JSON."""
    factors: Mapping[str, str] = field(default_factory=dict)
    """By name, a value of a factor for each word, with spaces between."""
    before: tuple[str, ...] = ()
    """The lines before it in its document, for a model that translates in their context."""


def in_documents(requests: Iterable[Request], count: int) -> Iterator[Request]:
    """Requests that know the lines before them, `count` at most; a blank line ends a document."""
    if not count:
        yield from requests
        return
    for request, before in sliding_window(requests, count, lambda each: is_blank(each.text)):
        yield replace(request, before=tuple(each.text for each in before))


def plain_requests(
    lines: Sequence[str], factors: Mapping[str, Sequence[str]], target_language: str | None = None
) -> list[Request]:
    """Lines, of which line n has the n-th of each factor's texts, and nothing else is wished."""
    given = [dict(zip(factors, texts, strict=True)) for texts in zip(*factors.values(), strict=True)]
    return [
        Request(line, target_language=target_language, factors=each)
        for line, each in zip(lines, given or [{}] * len(lines), strict=True)
    ]
