"""Warnings about hypotheses that are not plain, detokenised text, so that their scores mislead."""

from collections.abc import Callable, Iterable, Sequence

_MANY_LINES = 100
"""Enough lines for a warning in sets of any size; sacreBLEU uses the same number."""


def sanity_checks(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> list[str]:
    """Return one warning per sign of tokenised, segmented, lower-cased or empty hypotheses."""
    expected = references[0]
    warnings = []
    tokenised = _count(_is_tokenised, hypotheses)
    if _is_many(tokenised, hypotheses):
        warnings.append(
            f"{tokenised} of {len(hypotheses)} hypotheses end in a full stop after a space and look tokenised;"
            " detokenise them, or their scores are not comparable"
        )
    segmented = _count(_is_segmented, hypotheses)
    if segmented > _count(_is_segmented, expected):
        warnings.append(
            f"{segmented} of {len(hypotheses)} hypotheses contain subword markers (▁ or @@);"
            " join the subwords before scoring"
        )
    empty = _count(_is_empty, hypotheses)
    has_text = empty < len(hypotheses)
    if has_text and _is_many(_count(_has_capitals, expected), expected) and not any(map(_has_capitals, hypotheses)):
        warnings.append("the hypotheses have no capital letters but the references do; scores are case-sensitive")
    if empty > _count(_is_empty, expected):
        warnings.append(f"{empty} of {len(hypotheses)} hypotheses {'is' if empty == 1 else 'are'} empty")
    return warnings


def _count(test: Callable[[str], bool], lines: Iterable[str]) -> int:
    return sum(map(test, lines))


def _is_many(count: int, lines: Sequence[str]) -> bool:
    return count >= _MANY_LINES or 2 * count > len(lines)


def _is_tokenised(line: str) -> bool:
    return line.rstrip().endswith(" .")


def _is_segmented(line: str) -> bool:
    return "▁" in line or "@@ " in line or line.endswith("@@")


def _has_capitals(line: str) -> bool:
    return line != line.lower()


def _is_empty(line: str) -> bool:
    return not line.strip()
