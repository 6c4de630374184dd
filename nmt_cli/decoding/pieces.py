"""Long lines in pieces that a model can take: nothing is lost, and sentences stay whole where they can."""

import re
from collections.abc import Callable

_BREAKS = [
    re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])"),
    re.compile(r"\s+"),
    re.compile(r"(?<=.)", re.DOTALL),
]
"""Where a text may be cut, the better places first: after a sentence, at white space, after any character."""


def pieces(text: str, encode: Callable[[str], list[int]], longest: int) -> list[list[int]]:
    """Tokens of consecutive pieces of `text`, each at most `longest` where it can be, never empty."""
    tokens = encode(text)
    if len(tokens) <= longest or len(text) < 2:
        return [tokens] if tokens else []
    middle = _middle(text)
    return pieces(text[:middle], encode, longest) + pieces(text[middle:], encode, longest)


def _middle(text: str) -> int:
    """The best place to cut, near the middle: within the middle half, or, for want of other places, anywhere."""
    half, quarter = len(text) // 2, len(text) // 4
    for pattern in _BREAKS:
        places = [found.end() for found in pattern.finditer(text, quarter, len(text) - quarter)]
        if places := [place for place in places if 0 < place < len(text)]:
            return min(places, key=lambda place: abs(place - half))
    return half
