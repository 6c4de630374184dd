"""What a user asks for: a line, and what is wished of its translation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


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


def plain_requests(
    lines: Sequence[str], factors: Mapping[str, Sequence[str]], target_language: str | None = None
) -> list[Request]:
    """Lines, of which line n has the n-th of each factor's texts, and nothing else is wished."""
    given = [dict(zip(factors, texts, strict=True)) for texts in zip(*factors.values(), strict=True)]
    return [
        Request(line, target_language=target_language, factors=each)
        for line, each in zip(lines, given or [{}] * len(lines), strict=True)
    ]
