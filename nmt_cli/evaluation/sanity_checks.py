"""Warnings about hypotheses that are not plain, detokenised text, so that their scores mislead."""

from collections.abc import Iterator, Sequence

from nmt_cli.evaluation.metrics.metric import Metric
from nmt_cli.text.artefacts import ARTEFACTS
from nmt_cli.text.normalization import is_blank
from nmt_cli.text.word_boundaries import has_spaces_between_words

_MANY_LINES = 100
"""Enough lines for a warning in sets of any size; sacreBLEU uses the same number."""
_MIN_OF_REFERENCES = 0.05
"""Fraction of references with an artefact from which the hypotheses should have it, too."""


def sanity_checks(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], metrics: Sequence[Metric] = ()
) -> list[str]:
    """Return one warning per sign of tokenised, segmented, lower-cased or empty hypotheses, or unsuitable metrics."""
    expected, total = references[0], len(hypotheses)
    tokenised = sum(line.rstrip().endswith(" .") for line in hypotheses)
    empty, expected_empty = (sum(not line.strip() for line in lines) for lines in (hypotheses, expected))
    capitals, expected_capitals = (sum(line != line.lower() for line in lines) for lines in (hypotheses, expected))
    warnings = []
    if _is_many(tokenised, total):
        warnings.append(
            f"{tokenised} of {total} hypotheses end in a full stop after a space and look tokenised;"
            " detokenise them, or their scores are not comparable"
        )
    warnings += _differing_artefacts(hypotheses, expected)
    if empty < total and not capitals and _is_many(expected_capitals, len(expected)):
        warnings.append("the hypotheses have no capital letters but the references do; scores are case-sensitive")
    if empty > expected_empty:
        warnings.append(f"{empty} of {total} hypotheses {'is' if empty == 1 else 'are'} empty")
    blank = sum(is_blank(line) and not is_blank(other) for line, other in zip(expected, hypotheses, strict=False))
    if blank:
        verb = "is" if blank == 1 else "are"
        warnings.append(f"{blank} of {total} references {verb} blank; remove such lines from all files")
    names = " and ".join(metric.name for metric in metrics if metric.splits_at_spaces)
    if names and not has_spaces_between_words(expected):
        warnings.append(
            f"the references have no spaces between words, but {names} split{'s' * (' and ' not in names)} at spaces;"
            " give the right target language, or set evaluation.bleu_tokenizer and ter_tokenizer to char, and use chrf"
            " instead of chrf++"
        )
    return warnings


def utility_warning(metric: Metric, translations: str) -> str:
    """Return the warning about a metric that minimum Bayes risk decoding maximised."""
    return (
        f"{metric.name} was the utility by which minimum Bayes risk decoding chose the translations of {translations};"
        " it rises more than their quality, so judge by another metric"
    )


def _is_many(count: int, total: int) -> bool:
    return count >= _MANY_LINES or 2 * count > total


def _differing_artefacts(hypotheses: Sequence[str], references: Sequence[str]) -> Iterator[str]:
    """Yield a warning for each kind of artefact that one side has far more often than the other."""
    sides, total = {"hypotheses": hypotheses, "references": references}, len(hypotheses)
    for artefact in ARTEFACTS:
        counts = {side: artefact.count(lines) for side, lines in sides.items()}
        for side, other in (("hypotheses", "references"), ("references", "hypotheses")):
            count, expected = counts[side], counts[other]
            min_count = max(1, artefact.min_fraction * total if side == "hypotheses" else _MIN_OF_REFERENCES * total)
            if count >= 2 * expected + min_count:
                yield (
                    f"{count} of {total} {side} contain {artefact.name}, but {expected} {other};"
                    f" {artefact.remedy} before scoring"
                )
