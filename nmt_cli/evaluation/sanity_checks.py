"""Warnings about hypotheses that are not plain, detokenised text, so that their scores mislead."""

from collections.abc import Sequence

from nmt_cli.evaluation.metrics.metric import Metric
from nmt_cli.text.word_boundaries import has_spaces_between_words

_MANY_LINES = 100
"""Enough lines for a warning in sets of any size; sacreBLEU uses the same number."""


def sanity_checks(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], metrics: Sequence[Metric] = ()
) -> list[str]:
    """Return one warning per sign of tokenised, segmented, lower-cased or empty hypotheses, or unsuitable metrics."""
    expected, total = references[0], len(hypotheses)
    tokenised = sum(line.rstrip().endswith(" .") for line in hypotheses)
    segmented, expected_segmented = (sum(map(_is_segmented, lines)) for lines in (hypotheses, expected))
    empty, expected_empty = (sum(not line.strip() for line in lines) for lines in (hypotheses, expected))
    capitals, expected_capitals = (sum(line != line.lower() for line in lines) for lines in (hypotheses, expected))
    warnings = []
    if _is_many(tokenised, total):
        warnings.append(
            f"{tokenised} of {total} hypotheses end in a full stop after a space and look tokenised;"
            " detokenise them, or their scores are not comparable"
        )
    if segmented > expected_segmented:
        warnings.append(
            f"{segmented} of {total} hypotheses contain subword markers (▁ or @@); join the subwords before scoring"
        )
    if empty < total and not capitals and _is_many(expected_capitals, len(expected)):
        warnings.append("the hypotheses have no capital letters but the references do; scores are case-sensitive")
    if empty > expected_empty:
        warnings.append(f"{empty} of {total} hypotheses {'is' if empty == 1 else 'are'} empty")
    names = " and ".join(metric.name for metric in metrics if metric.splits_at_spaces)
    if names and not has_spaces_between_words(expected):
        warnings.append(
            f"the references have no spaces between words, but {names} split{'s' * (' and ' not in names)} at spaces;"
            " give the right target language, or set evaluation.bleu_tokenizer and ter_tokenizer to char"
        )
    return warnings


def _is_many(count: int, total: int) -> bool:
    return count >= _MANY_LINES or 2 * count > total


def _is_segmented(line: str) -> bool:
    return "▁" in line or "@@ " in line or line.endswith("@@")
