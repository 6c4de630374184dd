"""Whether a translation has about as much to say as its source, across scripts."""

import re

from nmt_cli.text.checks.finding import Finding

_MOST, _SLACK = 3.0, 20
"""One side may be this many times as long as the other, and so many letters more."""
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
DENSITY = 2.5
"""A Chinese, Japanese or Korean character says as much as so many letters of an alphabet."""
_DIGIT = re.compile(r"\d")
_SPELLED = 10
"""Letters that a digit may become, or come from, when a number is written in words."""


def length(source: str, output: str) -> list[Finding]:
    """Finds an output that is far too short or too long."""
    if is_far_longer(output, source) or is_far_longer(source, output):
        return [Finding("length", f"{_weight(output) / max(_weight(source), 1):.2g} times as long as the source")]
    return []


def is_far_longer(text: str, other: str, most: float = _MOST, slack: int = _SLACK) -> bool:
    """Whether one side of a pair is too long beside the other, even if the digits of that were spelled out."""
    longer, shorter = _weight(text), _weight(other)
    if longer <= most * shorter + slack:
        return False
    return longer > most * (shorter + _SPELLED * len(_DIGIT.findall(other))) + slack


def _weight(text: str) -> float:
    return len(text) if text.isascii() else len(text) + (DENSITY - 1) * len(_DENSE.findall(text))
