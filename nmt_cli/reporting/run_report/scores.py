"""How good the translations of test sets are."""

from collections.abc import Sequence
from dataclasses import dataclass

from nmt_cli.reporting.run_report.evaluations import Evaluation, ReadScore
from nmt_cli.reporting.run_report.section import Fact, Section, absent


@dataclass(frozen=True)
class _Set:
    name: str
    scores: list[ReadScore]
    facts: list[Fact]
    warnings: list[str]


def scores_section(evaluations: Sequence[Evaluation]) -> Section:
    """Scores of each set, with intervals, signatures and warnings."""
    if not evaluations:
        return absent("Scores", "No test set is evaluated yet; nmt evaluate does it.")
    sets = [_Set(found.name, found.scores, _facts(found), _warnings(found)) for found in evaluations]
    return Section("Scores", "scores.html.j2", sets)


def _facts(found: Evaluation) -> list[Fact]:
    known = found.content
    named = {
        "exact_match": ("exact match", "{:.1f} %"),
        "sentences": ("sentences", "{:,}"),
        "empty_hypotheses": ("empty translations", "{:,}"),
        "length_ratio": ("length ratio", "{:.3f}"),
    }
    return [
        Fact(name, form.format(known[key]))
        for key, (name, form) in named.items()
        if isinstance(known.get(key), int | float)
    ]


def _warnings(found: Evaluation) -> list[str]:
    listed = found.content.get("warnings")
    warnings = [str(warning) for warning in listed] if isinstance(listed, list) else []
    if found.damaged:
        warnings.append(f"{found.damaged:,} lines of hypotheses.jsonl could not be read")
    return warnings
