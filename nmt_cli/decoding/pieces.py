"""Long lines in pieces that a model can take: nothing is lost, and sentences stay whole where they can."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nmt_cli.text.normalization import one_line

Encode = Callable[[str], list[int]]

_SHORTENED = "Dr|Mr|Mrs|Ms|Prof|St|No|Nr|vs|etc|bzw|ca|usw|vgl|Abb|Bd|Fig|Vol|Jr|Sr|Mme|Mlle|Sra|Ing|Hr|Fr|al|approx"
_NOT_ENDING = re.compile(rf"(?:\b\w|\b(?:{_SHORTENED}))\.\s+$")
"""A full stop after a single letter ("z. B.", initials) or a known abbreviation ends no sentence."""
_CLOSING = "[\"'”’»)\\]」』）]*"
_SENTENCE = re.compile(rf"[.!?…؟۔।॥።։။។]{_CLOSING}\s+(?![a-zà-öø-ÿ])|[。！？．｡]{_CLOSING}\s*")
_CLAUSE = re.compile(rf"[,;:،؛፣]{_CLOSING}\s+|\s+[–-]\s+|\s*—\s*|[、，；：]{_CLOSING}\s*")
_SPACE = re.compile(r"\s+")
_ANY = re.compile(r"(?<!\u200d)(?=[^\u0300-\u036f\u200d\ufe00-\ufe0f])")
"""Between any two characters, but not within what is seen as one."""


@dataclass(frozen=True)
class Piece:
    """What is translated at once of a line: its characters `start` to `end`, white space around them left out."""

    start: int
    end: int
    tokens: list[int]


def whole(line: str, tokens: list[int]) -> list[Piece]:
    """A line as its only piece; none if there is nothing to see."""
    return [Piece(0, len(line), tokens)] if tokens and not is_blank(line) else []


def pieces(line: str, encode: Encode, longest: int) -> list[Piece]:
    """Consecutive pieces of about the same length, each at most `longest` tokens where it can be, none blank."""
    return list(_cut(line, 0, len(line), encode, longest))


def join(line: str, parts: Sequence[Piece], texts: Sequence[str]) -> str:
    """The translations of a line's pieces, between them the white space that stands between the pieces."""
    gaps = [one_line(line[one.end : other.start]) for one, other in pairwise(parts)]
    return "".join(text + gap for text, gap in zip(texts, [*gaps, ""], strict=True))


def is_blank(text: str) -> bool:
    """Whether nothing can be seen of a text: only spaces, controls and formats such as U+200B."""
    return all(unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cc", "Cf") for character in text)


def _cut(line: str, start: int, end: int, encode: Encode, longest: int) -> Iterable[Piece]:
    start, end = _stripped(line, start, end)
    text = line[start:end]
    tokens = encode(text)
    if len(tokens) <= longest or end - start < 2:
        if tokens and not is_blank(text):
            yield Piece(start, end, tokens)
        return
    number = -(-len(tokens) // longest)
    middle = start + _place(text, number // 2 / number, 1 / (2 * number))
    yield from _cut(line, start, middle, encode, longest)
    yield from _cut(line, middle, end, encode, longest)


def _stripped(line: str, start: int, end: int) -> tuple[int, int]:
    while start < end and line[start].isspace():
        start += 1
    while start < end and line[end - 1].isspace():
        end -= 1
    return start, end


def _place(text: str, share: float, play: float) -> int:
    """The best place to cut near `share` of the text, at most `play` of it away: after a sentence, or else a clause,
    or else a word, or else anywhere."""
    ideal = round(len(text) * share)
    first, last = max(1, int(len(text) * (share - play))), min(len(text) - 1, round(len(text) * (share + play)))
    for found in (_after_sentences(text), _ends(_CLAUSE, text), _ends(_SPACE, text), _ends(_ANY, text)):
        if places := [place for place in found if first <= place <= last]:
            return min(places, key=lambda place: abs(place - ideal))
    return min(max(ideal, 1), len(text) - 1)


def _after_sentences(text: str) -> Iterable[int]:
    for found in _SENTENCE.finditer(text):
        if not _NOT_ENDING.search(text, max(0, found.start() - 8), found.end()):
            yield found.end()


def _ends(pattern: re.Pattern[str], text: str) -> Iterable[int]:
    return (found.end() for found in pattern.finditer(text))
