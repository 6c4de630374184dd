"""Long lines in pieces that a model can take: nothing is lost, and sentences stay whole where they can."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nmt_cli.text.normalization import one_line

LONGEST = 200
"""Subwords of the longest sentence that is translated at once, where nothing is known of the model's training."""

Encode = Callable[[str], list[int]]

_SHORTENED = "Dr|Mr|Mrs|Ms|Prof|St|No|Nr|vs|etc|bzw|ca|usw|vgl|Abb|Bd|Fig|Vol|Jr|Sr|Mme|Mlle|Sra|Ing|Hr|Fr|al|approx"
_NOT_ENDING = re.compile(rf"(?:\b\w|\b(?:{_SHORTENED}))\.\s+$")
"""A full stop after a single letter ("z. B.", initials) or a known abbreviation ends no sentence."""
_CLOSING = "[\"'”’»)\\]」』）]*"
_SENTENCE = re.compile(rf"[.!?…؟۔।॥።\u104b།]“?{_CLOSING}\s+(?![a-zà-öø-ÿ])|[。！？．｡]{_CLOSING}\s*")
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
    cut: bool = False
    """Whether it is but a part of a sentence."""


@dataclass(frozen=True)
class Limits:
    """What a model can take at once, in subwords."""

    longest: int
    """The longest sentence; a longer one is cut."""
    sentences: int | None = None
    """A line of more is translated sentence by sentence; None: only one that is too long."""


def pieces(line: str, tokens: list[int], encode: Encode, limits: Limits) -> list[Piece]:
    """A line, whose tokens these are, as consecutive pieces, none of them blank.

    Mostly that is one. Sentences stand apart if the line is long; one that is too long falls into pieces of about the
    same length, at ends of clauses, or else of words, or else anywhere.
    """
    if not tokens or is_blank(line):
        return []
    alone = limits.longest if limits.sentences is None else min(limits.sentences, limits.longest)
    ends = list(_after_sentences(line)) if len(tokens) > alone else []
    if len(tokens) <= limits.longest and not ends:
        return [Piece(0, len(line), tokens)]
    bounds = pairwise(sorted({0, *ends, len(line)}))
    return [piece for start, end in bounds for piece in _fitting(line, start, end, encode, limits.longest)]


def join(line: str, parts: Sequence[Piece], texts: Sequence[str]) -> str:
    """The translations of a line's pieces, between them the white space that stands between the pieces."""
    gaps = ["", *(one_line(line[one.end : other.start]) for one, other in pairwise(parts))]
    return "".join(gap + text for gap, text in zip(gaps, texts, strict=bool(parts)))


def is_blank(text: str) -> bool:
    """Whether nothing can be seen of a text: only spaces, controls and formats such as U+200B."""
    return all(unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cc", "Cf") for character in text)


def _fitting(line: str, start: int, end: int, encode: Encode, longest: int, cut: bool = False) -> Iterator[Piece]:
    """A sentence, or its parts if it is too long."""
    start, end = _stripped(line, start, end)
    text = line[start:end]
    tokens = encode(text)
    if len(tokens) <= longest or end - start < 2:
        if tokens and not is_blank(text):
            yield Piece(start, end, tokens, cut)
        return
    number = -(-len(tokens) // longest)
    middle = start + _place(text, number // 2 / number, 1 / (2 * number))
    yield from _fitting(line, start, middle, encode, longest, cut=True)
    yield from _fitting(line, middle, end, encode, longest, cut=True)


def _stripped(line: str, start: int, end: int) -> tuple[int, int]:
    while start < end and line[start].isspace():
        start += 1
    while start < end and line[end - 1].isspace():
        end -= 1
    return start, end


def _place(text: str, share: float, play: float) -> int:
    """The best place to cut near `share` of the text, at most `play` of it away."""
    ideal = round(len(text) * share)
    first, last = max(1, int(len(text) * (share - play))), min(len(text) - 1, round(len(text) * (share + play)))
    for pattern in (_CLAUSE, _SPACE, _ANY):
        if places := [found.end() for found in pattern.finditer(text) if first <= found.end() <= last]:
            return min(places, key=lambda place: abs(place - ideal))
    return min(max(ideal, 1), len(text) - 1)


def _after_sentences(text: str) -> Iterator[int]:
    for found in _SENTENCE.finditer(text):
        if not _NOT_ENDING.search(text, max(0, found.start() - 8), found.end()):
            yield found.end()
