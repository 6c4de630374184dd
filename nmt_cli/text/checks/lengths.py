"""Whether a translation has about as much to say as its source, across scripts."""

import re

from nmt_cli.text.checks.finding import Finding

_MOST, _SLACK = 3.0, 20
"""One side may be this many times as long as the other, and so many letters more."""
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
_DENSITY = 2.5
"""A Chinese, Japanese or Korean character says as much as so many letters of an alphabet."""
_DIGIT = re.compile(r"\d")
_SPELLED = 10
"""Letters that a digit may become, or come from, when a number is written in words."""


def length(source: str, output: str) -> list[Finding]:
    """Finds an output that is far too short or too long."""
    asked, said = _weight(source), _weight(output)
    if _exceeds(said, asked, source) or _exceeds(asked, said, output):
        return [Finding("length", f"{said / max(asked, 1):.2g} times as long as the source")]
    return []


def _exceeds(longer: float, shorter: float, text: str) -> bool:
    """Whether one side is too long beside the other, whose text this is, even if its digits were spelled out."""
    if longer <= _MOST * shorter + _SLACK:
        return False
    return longer > _MOST * (shorter + _SPELLED * len(_DIGIT.findall(text))) + _SLACK


def _weight(text: str) -> float:
    return len(text) if text.isascii() else len(text) + (_DENSITY - 1) * len(_DENSE.findall(text))
