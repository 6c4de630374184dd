"""The result of preprocessing, for a terminal of 80 columns."""

from collections.abc import Iterator

from rich.cells import cell_len, set_cell_size

from nmt_cli.data.preparation.manifest import CorpusStats, DropStats, PreparedSummary
from nmt_cli.data.shard_files import SIDES

_WIDTH = 80
_INDENT = 4


def corpora_table(prepared: PreparedSummary) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of a table with the pairs and subwords of each corpus."""
    rows = []
    for corpus in prepared.corpora:
        tokens = [corpus.num_tokens(side) for side in SIDES]
        means = " → ".join(f"{count / corpus.kept:.1f}" for count in tokens)
        rows.append([corpus.name, f"{corpus.read:,}", f"{corpus.kept:,}", *map(_short_count, tokens), means])
    return ["corpus", "read", "kept", "source", "target", "mean"], rows


def drop_lines(prepared: PreparedSummary) -> Iterator[str]:
    """Yield how many pairs of each corpus were dropped, and why, with an example each to show a filter's mistakes."""
    for corpus in prepared.corpora:
        if drops := prepared.drops(corpus):
            dropped = corpus.read - corpus.kept
            yield f"{corpus.name}: {dropped:,} of {corpus.read:,} pairs dropped ({dropped / corpus.read:.2%})"
            for drop in drops:
                yield from _reason_lines(corpus, drop)


def _reason_lines(corpus: CorpusStats, drop: DropStats) -> Iterator[str]:
    fraction = drop.num_pairs / corpus.read
    yield _truncate(f"{drop.num_pairs:>9,} {fraction:>7.2%}  {drop.description} ({drop.reason})")
    for example in drop.examples[:1]:
        label = f"record {example.record:,}: "
        for text in (example.source, example.target):
            yield _truncate(f"{'':{_INDENT}}{label}{text or '(nothing)'}")
            label = " " * len(label)


def _short_count(count: int) -> str:
    return f"{count:,}" if count < 100_000 else f"{count / 1e6:,.2f} M"


def _truncate(line: str) -> str:
    return line if cell_len(line) <= _WIDTH else set_cell_size(line, _WIDTH - 1).rstrip() + "…"
