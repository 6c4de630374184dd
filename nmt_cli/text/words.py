"""Words of raw text, as people see them: letters and digits between what is none; in some scripts each character."""

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
"""Characters of scripts that put no spaces between words."""

Kind = Literal["word", "unspaced", "space", "sign"]


@dataclass(frozen=True)
class Word:
    """A part of a text: a word, a character of a script without spaces, or another sign; never white space."""

    start: int
    end: int
    text: str
    """Its characters, by NFKC: spellings that look alike are alike."""


@lru_cache(maxsize=1 << 16)
def kind(character: str) -> Kind:
    """What a character does for words: only those of the kind `word` stick together."""
    if character.isspace():
        return "space"
    if any(first <= ord(character) <= last for first, last in _UNSPACED):
        return "unspaced"
    return "word" if character.isalnum() or unicodedata.category(character)[0] == "M" else "sign"


def words(text: str) -> list[Word]:
    """A text cut into words and single signs, so that two phrases are the same words if they are cut into the same."""
    return [Word(start, end, unicodedata.normalize("NFKC", text[start:end])) for start, end in _spans(text)]


def _spans(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for sort, group in itertools.groupby(text, kind):
        end = start + sum(1 for _ in group)
        if sort == "word":
            yield start, end
        elif sort != "space":
            yield from ((place, place + 1) for place in range(start, end))
        start = end
