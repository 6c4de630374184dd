"""Run all checks on a translation."""

import re

from nmt_cli.text.checks import TranslationFinding
from nmt_cli.text.checks.preserved import check_numbers, check_preserved, without_preserved
from nmt_cli.text.checks.repetition import check_repetition
from nmt_cli.text.checks.scripts import base_language, check_script, scripts_of
from nmt_cli.text.checks.toxicity import ToxicityCheck

_MAX_RATIO, _TOLERANCE = 3.0, 20
"""One side may be up to 3 times as long as the other, plus 20 letters."""
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
CJK_WEIGHT = 2.5
"""Letters of an alphabet that carry as much information as a Chinese, Japanese or Korean character."""
_DIGIT = re.compile(r"\d")
_LETTERS_PER_DIGIT = 10
"""Maximum number of letters of a digit that is spelled out."""
_MIN_COPIED_WORDS, _MIN_COPIED_LETTERS = 3, 10
"""A copied source with fewer lower-case words, or fewer letters in them, may be just a name."""


class Checker:
    """Checks translations between two languages, given as codes (`de`, `pt_BR`, `zho_Hans`).

    The checks prefer missed errors to false alarms: they report only what good translations hardly ever contain. The
    script is not checked for an unknown language, nor copying between varieties of one language.
    """

    def __init__(self, source_language: str, target_language: str, toxicity: ToxicityCheck | None = None) -> None:
        """`toxicity`: also check for toxic words that a translation adds."""
        self._scripts = scripts_of(target_language)
        self._toxicity = toxicity
        self._languages_differ = base_language(source_language) != base_language(target_language)

    def __call__(self, source: str, output: str) -> tuple[TranslationFinding, ...]:
        """Return the problems of a translation, usually none."""
        findings = [
            *check_repetition(source, output),
            *check_length(source, output),
            *check_numbers(without_preserved(source), without_preserved(output)),
            *check_preserved(source, output),
        ]
        if self._languages_differ:
            findings += check_copied(source, output)
        if self._scripts:
            findings += check_script(source, output, self._scripts)
        if self._toxicity is not None:
            findings += self._toxicity(source, output)
        return tuple(findings)


def check_copied(source: str, output: str) -> list[TranslationFinding]:
    """Find an output that equals its source, unless the source consists of names, numbers and the like."""
    if source.strip().casefold() != output.strip().casefold():
        return []
    lowercase_words = [word for word in source.split() if word[0].isalpha() and not word[0].isupper()]
    num_letters = sum(map(str.isalpha, "".join(lowercase_words)))
    # Words of other scripts may lack spaces and case, so their words are not counted.
    if num_letters < _MIN_COPIED_LETTERS or (len(lowercase_words) < _MIN_COPIED_WORDS and source.isascii()):
        return []
    return [TranslationFinding("copied", "the source is not translated")]


def check_length(source: str, output: str) -> list[TranslationFinding]:
    """Find an output that is far too short or too long."""
    if is_far_longer(output, source) or is_far_longer(source, output):
        ratio = _weighted_length(output) / max(_weighted_length(source), 1)
        return [TranslationFinding("length", f"{ratio:.2g} times as long as the source")]
    return []


def is_far_longer(text: str, other: str, max_ratio: float = _MAX_RATIO, tolerance: int = _TOLERANCE) -> bool:
    """Return whether a text is too long compared with another, even if the digits of `other` were spelled out."""
    longer, shorter = _weighted_length(text), _weighted_length(other)
    if longer <= max_ratio * shorter + tolerance:
        return False
    return longer > max_ratio * (shorter + _LETTERS_PER_DIGIT * len(_DIGIT.findall(other))) + tolerance


def _weighted_length(text: str) -> float:
    return len(text) if text.isascii() else len(text) + (CJK_WEIGHT - 1) * len(_CJK.findall(text))
