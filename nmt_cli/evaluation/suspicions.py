"""Signs that translations are not what their scores pretend to measure: plain, detokenised text."""

from collections.abc import Callable, Iterable, Sequence

_MANY = 100
"""As many lines are a sign even in a large set; sacreBLEU warns at the same number."""


def suspicions(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> list[str]:
    """One warning for each sign of tokenised, segmented, lower-cased or missing text; usually none."""
    expected = references[0]
    warnings = []
    tokenised = _count(_is_tokenised, hypotheses)
    if _is_many(tokenised, hypotheses):
        warnings.append(
            f"{tokenised} of {len(hypotheses)} hypotheses end in a full stop that stands apart;"
            " detokenise them, or their scores are not comparable"
        )
    segmented = _count(_is_segmented, hypotheses)
    if segmented > _count(_is_segmented, expected):
        warnings.append(
            f"{segmented} of {len(hypotheses)} hypotheses contain marks of subwords (▁ or @@);"
            " join the subwords before scoring"
        )
    empty = _count(_is_empty, hypotheses)
    says_something = empty < len(hypotheses)
    if (
        says_something
        and _is_many(_count(_has_capitals, expected), expected)
        and not any(map(_has_capitals, hypotheses))
    ):
        warnings.append("no hypothesis contains a capital letter but the references do; the scores are cased")
    if empty > _count(_is_empty, expected):
        warnings.append(f"{empty} of {len(hypotheses)} hypotheses {'is' if empty == 1 else 'are'} empty")
    return warnings


def _count(test: Callable[[str], bool], lines: Iterable[str]) -> int:
    return sum(map(test, lines))


def _is_many(count: int, lines: Sequence[str]) -> bool:
    return count >= _MANY or 2 * count > len(lines)


def _is_tokenised(line: str) -> bool:
    return line.rstrip().endswith(" .")


def _is_segmented(line: str) -> bool:
    return "▁" in line or "@@ " in line or line.endswith("@@")


def _has_capitals(line: str) -> bool:
    return line != line.lower()


def _is_empty(line: str) -> bool:
    return not line.strip()
