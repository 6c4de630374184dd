"""Numbers lost or invented, whatever the signs between digits and the script of the digits are.

12.5 equals 12,5; 1,000 equals 1.000 and 1 000; a date equals itself in any order. What may as well be written in words,
or be said in a rounder way, is not judged: 2, 12, 20, 300, 5000, 2:30.
"""

import re
from collections.abc import Iterable, Iterator

from nmt_cli.text.checks.finding import Finding

_NUMBER = re.compile(r"\d+(?:[.,:'’٫٬]\d+|[ \u00a0\u2009\u202f]\d{3}(?!\d))*")
_DIGITS = re.compile(r"\d+")
_MYRIADS = re.compile(r"\d\s*[千万萬億亿兆천만억조]")
_HOURS = 24
"""Whole numbers up to it are not judged: many are written in words, 6 p.m. is 18 Uhr."""


def numbers(source: str, output: str) -> list[Finding]:
    """Finds each number that is on one side only; one that is invented, only if the source has any digits."""
    if not _DIGITS.search(source) or _MYRIADS.search(source) or _MYRIADS.search(output):
        return []  # words may stand for numbers; 15万 is 150,000
    asked, said = list(_numbers(source)), list(_numbers(output))
    return [
        Finding("number", f"{number} is {fate}", number if fate == "lost" else "")
        for fate, given, other in (("lost", asked, said), ("invented", said, asked))
        for number in _missing(given, {form for number in other for form in _forms(number)})
    ]


def _numbers(text: str) -> Iterator[str]:
    return (found[0] for found in _NUMBER.finditer(text))


def _missing(given: Iterable[str], present: set[str]) -> list[str]:
    return [number for number in given if not _is_there(number, present)]


def _is_there(number: str, present: set[str]) -> bool:
    """Whether a number, or each part that is judged, is among these forms."""
    parts = _DIGITS.findall(number)
    if len(parts) > 1 and _is_one(parts) and not _may_be_time(parts):
        return len(_form("".join(parts))) < 2 or _form("".join(parts)) in present
    return all(int(part) <= _HOURS or len(_form(part)) < 2 or _form(part) in present for part in parts)


def _forms(number: str) -> set[str]:
    parts = _DIGITS.findall(number)
    return {_form("".join(parts)), *map(_form, parts)}


def _is_one(parts: list[str]) -> bool:
    """Whether digits with signs between are one number: groups of three, or a decimal sign; not a date or version."""
    return len(parts) <= 2 or all(len(part) == 3 for part in parts[1:-1])


def _may_be_time(parts: list[str]) -> bool:
    """2:30 p.m. is 14.30 Uhr."""
    return len(parts) == 2 and len(parts[1]) == 2 and int(parts[0]) <= _HOURS and int(parts[1]) < 60


def _form(digits: str) -> str:
    """The digits that tell, in those of ASCII."""
    return (digits if digits.isascii() else "".join(str(int(digit)) for digit in digits)).strip("0")
