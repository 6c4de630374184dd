"""What `nmt check` found, for a terminal of 80 columns and as JSON."""

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nmt_cli.console import duration
from nmt_cli.data.checking.estimates import Estimate
from nmt_cli.data.checking.finding import Finding
from nmt_cli.data.checking.lengths import Histogram, labels
from nmt_cli.data.checking.sampling import Sample
from nmt_cli.reporting.rendering import escape_invisible

_WIDTH = 80
_NAME = 24
"""Columns for the name of a corpus."""
_LEVELS = ("error", "warning", "fact")


@dataclass(frozen=True)
class Checked:
    """A recipe that was checked."""

    recipe: str
    """Its path."""
    corpora: Sequence[Sample]
    histograms: Sequence[Histogram]
    cut_by: str
    """Whose tokens lengths are counted in, in words; empty if they are counted in characters."""
    estimate: Estimate | None
    """None if there is nothing to learn from."""
    device: str
    findings: Sequence[Finding]

    def count(self, level: str) -> int:
        """How many findings are of this level."""
        return sum(finding.level == level for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain data."""
        estimate = self.estimate and {**asdict(self.estimate), "device": self.device}
        return {
            "recipe": self.recipe,
            "errors": self.count("error"),
            "warnings": self.count("warning"),
            "findings": [
                {key: escape_invisible(value) for key, value in asdict(found).items()} for found in self.findings
            ],
            "corpora": [{"where": corpus.name, "pairs": corpus.read} for corpus in self.corpora],
            "lengths": [_lengths(histogram) for histogram in self.histograms],
            "tokenizer": escape_invisible(self.cut_by),
            "estimate": estimate,
        }

    def as_text(self) -> str:
        """Everything, to be read."""
        parts = [self._counts(), self._lengths(), self._needs(), self._findings(), self._end()]
        return "\n".join(escape_invisible(line) for part in parts if part for line in [*part, ""])

    def _counts(self) -> list[str]:
        rows = [f"  {_short(corpus.name):<{_NAME}}  {corpus.read:>13,} pairs" for corpus in self.corpora]
        return [f"Text of {self.recipe}", *rows] if rows else []

    def _lengths(self) -> list[str]:
        if not self.histograms:
            return []
        unit = self.histograms[0].unit
        columns = [f"{label:>7}" for label in labels(unit)]
        said = f"Lengths in {unit}: percent of the lines" + (f", {self.cut_by}" if self.cut_by else "")
        rows = [_row(histogram) for histogram in self.histograms]
        return [*textwrap.wrap(said, _WIDTH), f"{'':{_NAME}}{''.join(columns)}{'mean':>7}", *rows]

    def _needs(self) -> list[str]:
        if self.estimate is None:
            return []
        needs = self.estimate
        return [
            f"Training on {self.device}, roughly",
            f"  {'parameters':<{_NAME}}  {needs.parameters:>13,}",
            f"  {'memory for weights':<{_NAME}}  {_bytes(needs.state_bytes):>13}  with gradients and optimizer",
            f"  {'memory for a batch':<{_NAME}}  {_bytes(needs.batch_bytes):>13}",
            f"  {'time for an epoch':<{_NAME}}  {duration(needs.epoch_seconds):>13}  half or twice as much",
        ]

    def _findings(self) -> list[str]:
        lines: list[str] = []
        for level in _LEVELS:
            for finding in self.findings:
                if finding.level == level:
                    lines += _wrapped(f"{level:<8} ", f"{finding.where}: {finding.what}")
                    lines += _wrapped(f"{'':6}→  ", finding.advice) if finding.advice else []
        return lines

    def _end(self) -> list[str]:
        errors, warnings = self.count("error"), self.count("warning")
        if not errors and not warnings:
            return ["Nothing looks wrong.", f"next: nmt preprocess {self.recipe}"]
        counted = [_number(errors, "error"), _number(warnings, "warning")]
        told = " and ".join(part for part in counted if part)
        after = f"then: nmt check {self.recipe}" if errors else f"next: nmt preprocess {self.recipe}"
        return [f"{told}; {'correct what is wrong' if errors else 'see whether they matter to you'}", after]


def _lengths(histogram: Histogram) -> dict[str, Any]:
    names = labels(histogram.unit)
    shares = {name: round(share, 4) for name, share in zip(names, histogram.shares, strict=True)}
    told = {"where": histogram.corpus, "side": histogram.side, "unit": histogram.unit}
    return told | {"mean": round(histogram.mean, 2), "shares": shares}


def _row(histogram: Histogram) -> str:
    name = f"  {_short(histogram.corpus, _NAME - 9)} {histogram.side}"
    cells = "".join(f"{'.' if not share else f'{100 * share:.0f}':>7}" for share in histogram.shares)
    return f"{name:<{_NAME}}{cells}{histogram.mean:>7.1f}"


def _short(key: str, most: int = _NAME) -> str:
    """A corpus by its section and name."""
    name = key.removeprefix("data.")
    return name if len(name) <= most else name[: most - 1] + "…"


def _wrapped(start: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _number(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'s' if count > 1 else ''}" if count else ""


def _bytes(number: float) -> str:
    for unit in ("B", "KB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"
