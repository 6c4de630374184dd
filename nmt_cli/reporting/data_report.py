"""Results of `nmt check` and `nmt preprocess`, for a terminal of 80 columns and as JSON."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size

from nmt_cli.console import duration
from nmt_cli.data.checking import DataFinding
from nmt_cli.data.checking.hyperparameters import TrainingEstimate
from nmt_cli.data.checking.pairs import LengthHistogram, bin_labels
from nmt_cli.data.checking.sampling import CorpusSample
from nmt_cli.data.preparation.manifest import DropStats, PreparedSummary
from nmt_cli.data.preparation.shard_files import SIDES
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.text.lines import escape_invisible

_WIDTH = 80
_INDENT = 4
_NAME_WIDTH = 24
"""Columns for the name of a corpus."""
_LEVELS = ("error", "warning", "fact")


@dataclass(frozen=True)
class CheckReport:
    """The result of `nmt check`."""

    recipe: str
    """Path of the recipe."""
    corpora: Sequence[CorpusSample]
    histograms: Sequence[LengthHistogram]
    tokenizer: str
    """Origin of the tokenizer that lengths are measured with; empty if they are in characters."""
    estimate: TrainingEstimate | None
    """None if there is no training text."""
    device: str
    findings: Sequence[DataFinding]
    unit: str = "sentence pairs"
    """What the corpora consist of."""

    def count(self, level: str) -> int:
        """Return the number of findings of a level."""
        return sum(finding.level == level for finding in self.findings)

    def raise_for_errors(self) -> None:
        """Raise the first error: RecipeError if all errors are of the recipe, else DataError."""
        errors = [finding for finding in self.findings if finding.level == "error"]
        if errors:
            kind = RecipeError if all(finding.is_of_recipe for finding in errors) else DataError
            raise kind(f"{self.recipe}: training would fail: {errors[0].where}: {errors[0].message}")

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        estimate = self.estimate and {**asdict(self.estimate), "device": self.device}
        return {
            "recipe": self.recipe,
            "errors": self.count("error"),
            "warnings": self.count("warning"),
            "findings": [
                {key: escape_invisible(value) for key, value in asdict(found).items()} for found in self.findings
            ],
            "corpora": [{"where": corpus.name, "pairs": corpus.num_pairs} for corpus in self.corpora],
            "lengths": [_lengths_json(histogram) for histogram in self.histograms],
            "tokenizer": escape_invisible(self.tokenizer),
            "estimate": estimate,
        }

    def as_text(self) -> str:
        """Return everything as text."""
        parts = [self._counts(), self._lengths(), self._estimate(), self._findings(), self._conclusion()]
        return "\n".join(escape_invisible(line) for part in parts if part for line in [*part, ""])

    def _counts(self) -> list[str]:
        rows = [
            f"  {_short_name(each.name):<{_NAME_WIDTH}}  {each.num_pairs:>13,} {self.unit}" for each in self.corpora
        ]
        return [f"Text of {self.recipe}", *rows] if rows else []

    def _lengths(self) -> list[str]:
        if not self.histograms:
            return []
        unit = self.histograms[0].unit
        columns = [f"{label:>7}" for label in bin_labels(unit)]
        title = f"Lengths in {unit}, in percent of the lines" + (f" ({self.tokenizer})" if self.tokenizer else "")
        header = f"{'':{_NAME_WIDTH}}{''.join(columns)}{'mean':>7}"
        return [*textwrap.wrap(title, _WIDTH), header, *map(_length_row, self.histograms)]

    def _estimate(self) -> list[str]:
        if self.estimate is None:
            return []
        needs = self.estimate
        rows = (
            ("parameters", f"{needs.parameters:,}", ""),
            ("memory for parameters", _format_bytes(needs.state_bytes), "  with gradients and optimizer"),
            ("memory for a batch", _format_bytes(needs.batch_bytes), ""),
            ("time per epoch", duration(needs.epoch_seconds), "  within a factor of 2"),
        )
        lines = (f"  {name:<{_NAME_WIDTH}}  {value:>13}{note}" for name, value, note in rows)
        return [f"Training on {self.device} (estimate)", *lines]

    def _findings(self) -> list[str]:
        lines: list[str] = []
        for level in _LEVELS:
            for finding in self.findings:
                if finding.level == level:
                    lines += _wrapped(f"{level:<8} ", f"{finding.where}: {finding.message}")
                    lines += _wrapped(f"{'':6}→  ", finding.advice) if finding.advice else []
        return lines

    def _conclusion(self) -> list[str]:
        counts = {level: self.count(level) for level in ("error", "warning")}
        following = f"{'then' if counts['error'] else 'next'}: nmt {'check' if counts['error'] else 'preprocess'}"
        if not any(counts.values()):
            return ["No problems found.", f"{following} {self.recipe}"]
        found = " and ".join(f"{n:,} {level}{'s' if n > 1 else ''}" for level, n in counts.items() if n)
        advice = "correct the errors" if counts["error"] else "decide whether they matter"
        return [f"{found}; {advice}", f"{following} {self.recipe}"]


def _lengths_json(histogram: LengthHistogram) -> dict[str, Any]:
    fractions = dict(zip(bin_labels(histogram.unit), (round(each, 4) for each in histogram.fractions), strict=True))
    content = {"where": histogram.corpus, "side": histogram.side, "unit": histogram.unit}
    return content | {"mean": round(histogram.mean, 2), "fractions": fractions}


def _length_row(histogram: LengthHistogram) -> str:
    name = f"  {_short_name(histogram.corpus, _NAME_WIDTH - 9)} {histogram.side}"
    cells = "".join(f"{'.' if not each else f'{100 * each:.0f}':>7}" for each in histogram.fractions)
    return f"{name:<{_NAME_WIDTH}}{cells}{histogram.mean:>7.1f}"


def _short_name(key: str, max_length: int = _NAME_WIDTH) -> str:
    """Shorten the recipe key of a corpus."""
    name = key.removeprefix("data.")
    return name if len(name) <= max_length else name[: max_length - 1] + "…"


def _wrapped(start: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _format_bytes(number: float) -> str:
    for unit in ("B", "KB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def corpora_table(prepared: PreparedSummary, is_monolingual: bool = False) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of a table with the pairs or documents, and the tokens, of each corpus."""
    rows = []
    for corpus in prepared.corpora:
        tokens = [corpus.num_tokens(side) for side in SIDES[is_monolingual:]]
        means = " → ".join(f"{count / corpus.num_kept:.1f}" for count in tokens)
        rows.append([corpus.name, f"{corpus.num_read:,}", f"{corpus.num_kept:,}", *map(_short_count, tokens), means])
    return ["corpus", "read", "kept", *(["tokens"] if is_monolingual else ["source", "target"]), "mean"], rows


def drop_lines(prepared: PreparedSummary, unit: str) -> Iterator[str]:
    """Yield how many pairs or documents (`unit`) of each corpus were dropped, and why.

    An example of each reason shows mistakes of a filter.
    """
    for corpus in prepared.corpora:
        yield from describe_drops(corpus.name, unit, corpus.num_read, prepared.drops(corpus))


def describe_drops(name: str, unit: str, num_read: int, drops: Sequence[DropStats]) -> Iterator[str]:
    """Yield how many pairs, lines or documents (`unit`) of a text were dropped, and why, with an example each."""
    if dropped := sum(drop.num_pairs for drop in drops):
        yield f"{name}: {dropped:,} of {num_read:,} {unit} dropped ({dropped / num_read:.2%})"
    for drop in drops:
        yield _truncate(f"{drop.num_pairs:>9,} {drop.num_pairs / num_read:>7.2%}  {drop.description} ({drop.reason})")
        for example in drop.examples[:1]:
            label = f"record {example.record:,}: "
            for text in (example.source, example.target) if unit == "pairs" else (example.target,):
                yield _truncate(f"{'':{_INDENT}}{label}{text or '(nothing)'}")
                label = " " * len(label)


def _short_count(count: int) -> str:
    return f"{count:,}" if count < 100_000 else f"{count / 1e6:,.2f} M"


def _truncate(line: str) -> str:
    return line if cell_len(line) <= _WIDTH else set_cell_size(line, _WIDTH - 1).rstrip() + "…"
