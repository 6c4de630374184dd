"""Added toxicity of the translations of a test set."""

from collections.abc import Sequence
from dataclasses import dataclass

from nmt_cli.text.checks.toxicity import ToxicityCheck


@dataclass(frozen=True)
class ToxicLine:
    """A translation that adds toxic words."""

    line: int
    """1-based."""
    words: list[str]
    """As they are written in the translation."""


@dataclass(frozen=True)
class AddedToxicity:
    """The translations of a test set that add toxic words."""

    sentences: int
    """Number of translations that were checked."""
    added: int
    """Number of those that add toxic words."""
    lines: list[ToxicLine]
    lists: dict[str, str]
    """SHA-256 of `toxic_words` and, if it was given, `source_toxic_words`; see `ToxicityCheck.list_hashes`."""


def measure_added_toxicity(
    sources: Sequence[str] | None, hypotheses: Sequence[str], check: ToxicityCheck
) -> AddedToxicity:
    """Find toxic words in translations whose sources, if they are given, have none."""
    given = [""] * len(hypotheses) if sources is None else sources
    found = [check.added_words(*pair) for pair in zip(given, hypotheses, strict=True)]
    lines = [ToxicLine(line, words) for line, words in enumerate(found, 1) if words]
    return AddedToxicity(len(hypotheses), len(lines), lines, check.list_hashes)
