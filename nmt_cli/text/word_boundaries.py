"""Words of raw text in any script: the one definition for metrics, glossaries, differences and checks.

A word is a run of letters, digits and the marks on them. In scripts without spaces between words (Thai, Khmer,
Chinese …), each letter with its marks is a word; a Tibetan word is a syllable. The rules are those of Unicode
(UAX #29), except that apostrophe, hyphen and full stop always separate: `l'homme` contains the word `homme`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from unicodedata import category, normalize

import regex  # knows the Unicode properties of all scripts, which `re` and `unicodedata` lack

_UNSPACED_CLASSES = r"[\p{lb=SA}\p{lb=ID}\p{lb=CJ}\p{lb=NS}\p{lb=AK}\p{lb=AS}\p{lb=AP}]--\p{sc=Latin}"
"""Scripts that break lines within words (UAX #14). Full-width Latin letters share their class."""
_UNSPACED = rf"[[\p{{L}}\p{{Nl}}]&&{_UNSPACED_CLASSES}]"
_ATTACHED = r"\p{M}[\p{Cf}--\u200b]"
"""Marks and invisible characters, which belong to the word before them; a zero-width space separates words."""
_GRAPHEME = rf"\X[{_ATTACHED}]*+"
_WORD = (
    rf"[[\p{{L}}\p{{N}}\p{{M}}]--{_UNSPACED}][[\p{{L}}\p{{N}}{_ATTACHED}]--{_UNSPACED}]*+|(?={_UNSPACED}){_GRAPHEME}"
)
_WORDS = regex.compile(rf"(?V1){_WORD}")
_ASCII_WORDS = re.compile("[A-Za-z0-9]+")
"""The same words in ASCII text, five times as fast."""
_WORDS_AND_SIGNS = regex.compile(rf"(?V1){_WORD}|(?![\s\p{{Cc}}\p{{Cf}}])\X")
_UNSPACED_CHARACTER = regex.compile(rf"(?V1)[[\p{{L}}\p{{Nl}}\p{{M}}]&&{_UNSPACED_CLASSES}]")
_GRAPHEMES = regex.compile(rf"(?V1){_GRAPHEME}")
_ADJACENT = regex.compile(rf"(?V1)(?<={_UNSPACED}[{_ATTACHED}]*)( ?)(?={_UNSPACED})")
_LETTERS = regex.compile(r"\p{L}")
_LETTERS_WITHOUT_SPACES = regex.compile(rf"(?V1){_UNSPACED}|[\p{{L}}&&\p{{sc=Tibetan}}]")

CharacterClass = Literal["word", "unspaced", "space", "sign"]


@dataclass(frozen=True)
class Word:
    """A word, or a single sign; never white space."""

    start: int
    end: int
    text: str
    """Its characters in NFC, so that equivalent spellings compare equal."""

    @property
    def compatible(self) -> str:
        """Its characters in NFKC, so that spellings that look the same compare equal, such as full-width letters."""
        return normalize("NFKC", self.text)


@lru_cache(maxsize=1 << 16)
def character_class(character: str) -> CharacterClass:
    """Classify a character. Only adjacent characters of class `word` form a word."""
    if character.isspace():
        return "space"
    if _UNSPACED_CHARACTER.match(character):
        return "unspaced"
    return "word" if category(character)[0] in "LNM" else "sign"


def is_in_word(character: str) -> bool:
    """Return whether a character belongs to a word; false for no character."""
    return bool(character) and character_class(character) in ("word", "unspaced")


def split_words(text: str) -> list[Word]:
    """Split a text into words and single signs, with their positions."""
    return [Word(found.start(), found.end(), normalize("NFC", found[0])) for found in _WORDS_AND_SIGNS.finditer(text)]


def words_and_signs(text: str) -> list[str]:
    """Return the words and single signs of a text, in NFC."""
    return list(_WORDS_AND_SIGNS.findall(normalize("NFC", text)))


def count_phrase(phrase: str, text: str) -> int:
    """Return how often a text contains a phrase as whole words, in whichever compatible characters."""
    wanted, given = ([word.compatible for word in split_words(each)] for each in (phrase, text))
    if not wanted:
        return 0
    return sum(given[start : start + len(wanted)] == wanted for start in range(len(given) - len(wanted) + 1))


def words(text: str) -> list[str]:
    """Return the words of a text, in NFC."""
    if text.isascii():
        return _ASCII_WORDS.findall(text)
    return list(_WORDS.findall(normalize("NFC", text)))


def graphemes(text: str) -> list[str]:
    """Return the characters that readers see: each with the marks on it. Joined, they are the text."""
    return list(_GRAPHEMES.findall(text))


def spaced_letters(text: str) -> tuple[int, int]:
    """Count the pairs of letters of scripts without spaces that have a space between them, and all adjacent pairs."""
    found = _ADJACENT.findall(text)
    return sum(map(len, found)), len(found)


def has_spaces_between_words(lines: Sequence[str]) -> bool:
    """Return whether at least half of the letters belong to scripts that separate words by spaces."""
    text = " ".join(lines)
    return 2 * len(_LETTERS_WITHOUT_SPACES.findall(text)) <= len(_LETTERS.findall(text))
