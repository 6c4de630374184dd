"""Check text that a translation must preserve verbatim: URLs, e-mail addresses, placeholders, tags and numbers.

Numbers are compared without separators and across scripts: 12.5 equals 12,5; 1,000 equals 1.000 and 1 000; the parts of
a date may change their order. Numbers that are often written in words or rounded are ignored: 2, 12, 20, 300, 5000,
2:30.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import cast

from nmt_cli.text.checks import Problem, TranslationFinding

_MARKERS = re.compile(r"[@{%<]|__|://|www\.")
"""Text without any of these has nothing to preserve."""
_PRESERVED = re.compile(
    r"""
    (?P<url> (?: [a-z][a-z0-9+.-]*:// | www\. ) [^\s<>"'“”«»。，、]+ )
  | (?P<email> [\w.+-]+ @ [\w-]+ (?: \. [\w-]+ )+ )
  | (?P<tag> </? [a-z] [^<>]* > )
  | (?P<placeholder>
        \$? \{\{? [\w.:-]* \}?\}
      | (?<![\w%]) % (?: \(\w+\) | \d+\$ )? [-+#0]* \d* (?: \.\d+ )? (?: hh? | ll? )? [sdiufxgc@] (?!\w)
      | (?<!\w) __ \w+? __ (?!\w)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_TRAILING = ".,;:!?…)]}'’»"


def without_preserved(text: str) -> str:
    """Replace each URL, e-mail address, placeholder and tag with a space."""
    return _PRESERVED.sub(" ", text) if _MARKERS.search(text) else text


def check_preserved(source: str, output: str) -> list[TranslationFinding]:
    """Find URLs, addresses, placeholders and tags that the output has less or more often than the source."""
    if not (_MARKERS.search(source) or _MARKERS.search(output)):
        return []
    expected, actual = _count_preserved(source), _count_preserved(output)
    return [
        TranslationFinding(problem, f"{text} is {fate}", text if fate == "lost" else "")
        for fate, missing in (("lost", expected - actual), ("invented", actual - expected))
        for (problem, text), count in missing.items()
        for _ in range(count)
    ]


def _count_preserved(text: str) -> Counter[tuple[Problem, str]]:
    counts: Counter[tuple[Problem, str]] = Counter()
    for found in _PRESERVED.finditer(text):
        problem = cast(Problem, found.lastgroup)  # the groups are named like the problems
        counts[problem, found[0].rstrip(_TRAILING) if problem == "url" else found[0]] += 1
    return counts


_NUMBER = re.compile(r"\d+(?:[.,:'’٫٬]\d+|[ \u00a0\u2009\u202f]\d{3}(?!\d))*")
_DIGITS = re.compile(r"\d+")
_MYRIADS = re.compile(r"\d\s*[千万萬億亿兆천만억조]")
_MAX_IGNORED = 24
"""Integers up to this are ignored: many are written in words, and 6 p.m. is 18 Uhr."""


def check_numbers(source: str, output: str) -> list[TranslationFinding]:
    """Find numbers that occur on one side only; invented ones only if the source has any digits."""
    if not _DIGITS.search(source) or _MYRIADS.search(source) or _MYRIADS.search(output):
        return []  # the source may spell its numbers; 15万 is 150,000
    expected, actual = list(_numbers(source)), list(_numbers(output))
    return [
        TranslationFinding("number", f"{number} is {fate}", number if fate == "lost" else "")
        for fate, numbers, other in (("lost", expected, actual), ("invented", actual, expected))
        for number in _missing(numbers, {digits for number in other for digits in _comparable_digits(number)})
    ]


def _numbers(text: str) -> Iterator[str]:
    return (found[0] for found in _NUMBER.finditer(text))


def _missing(numbers: Iterable[str], present: set[str]) -> list[str]:
    return [number for number in numbers if not _is_number_present(number, present)]


def _is_number_present(number: str, present: set[str]) -> bool:
    """Return whether a number, or each of its parts that is not ignored, is present.

    One significant digit is ignored: such numbers are often written in words.

    Args:
        present: Significant digits of the numbers of the other side and of their parts.
    """
    parts = _DIGITS.findall(number)
    if len(parts) > 1 and _is_single_number(parts) and not _may_be_time(parts):
        return _are_digits_present("".join(parts), present)
    return all(int(part) <= _MAX_IGNORED or _are_digits_present(part, present) for part in parts)


def _are_digits_present(digits: str, present: set[str]) -> bool:
    significant = _significant_digits(digits)
    return len(significant) < 2 or significant in present


def _comparable_digits(number: str) -> set[str]:
    """Return the significant digits of a number as a whole and of each of its parts."""
    parts = _DIGITS.findall(number)
    return {_significant_digits("".join(parts)), *map(_significant_digits, parts)}


def _is_single_number(parts: list[str]) -> bool:
    """Return whether groups of digits form one number, with thousands or a decimal separator; not a date or version."""
    return len(parts) <= 2 or all(len(part) == 3 for part in parts[1:-1])


def _may_be_time(parts: list[str]) -> bool:
    """Return whether two groups of digits may be a time: 2:30 p.m. is 14.30 Uhr."""
    return len(parts) == 2 and len(parts[1]) == 2 and int(parts[0]) <= _MAX_IGNORED and int(parts[1]) < 60


def _significant_digits(digits: str) -> str:
    """Return the significant digits, in ASCII."""
    return (digits if digits.isascii() else "".join(str(int(digit)) for digit in digits)).strip("0")
