"""Split raw text into words and signs; in scripts without spaces, each character is a word."""

import itertools
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x109F),  # Tibetan, Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x9FFF),  # Chinese characters
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
"""Ranges of scripts without spaces between words."""

CharacterClass = Literal["word", "unspaced", "space", "sign"]


@dataclass(frozen=True)
class Word:
    """A word, a character of a script without spaces, or a single sign; never white space."""

    start: int
    end: int
    text: str
    """Its characters in NFKC, so that spellings that look the same compare equal."""


@lru_cache(maxsize=1 << 16)
def character_class(character: str) -> CharacterClass:
    """Classify a character. Only adjacent characters of class `word` form a word."""
    if character.isspace():
        return "space"
    if any(first <= ord(character) <= last for first, last in _UNSPACED):
        return "unspaced"
    return "word" if character.isalnum() or unicodedata.category(character)[0] == "M" else "sign"


def split_words(text: str) -> list[Word]:
    """Split a text into words and single signs. Two phrases match if their `Word.text` are equal."""
    return [Word(start, end, unicodedata.normalize("NFKC", text[start:end])) for start, end in _spans(text)]


def _spans(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for group_class, group in itertools.groupby(text, character_class):
        end = start + sum(1 for _ in group)
        if group_class == "word":
            yield start, end
        elif group_class != "space":
            yield from ((index, index + 1) for index in range(start, end))
        start = end
