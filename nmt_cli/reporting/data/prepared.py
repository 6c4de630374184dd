"""What became of the text that was prepared, as lines for a screen of 80 columns."""

from collections.abc import Iterator

from rich.cells import cell_len, set_cell_size

from nmt_cli.data.inventory import CorpusCounts, Inventory, Loss

_WIDTH = 80
_INDENT = 4


def corpora_table(inventory: Inventory) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: pairs and subwords of each corpus."""
    rows = []
    for corpus in inventory.corpora:
        tokens = corpus.source_tokens, corpus.target_tokens
        means = " → ".join(f"{count / corpus.kept:.1f}" for count in tokens)
        rows.append([corpus.name, f"{corpus.read:,}", f"{corpus.kept:,}", *map(_short, tokens), means])
    return ["corpus", "read", "kept", "source", "target", "mean"], rows


def losses(inventory: Inventory) -> Iterator[str]:
    """What was dropped of each corpus, why, and one example of each, so that a filter that errs is noticed."""
    for corpus in inventory.corpora:
        if corpus.losses:
            dropped = corpus.read - corpus.kept
            share = f"{dropped / corpus.read:.2%}"
            yield f"{corpus.name}: {dropped:,} of {corpus.read:,} pairs dropped ({share})"
            for loss in corpus.losses:
                yield from _loss(corpus, loss)


def _loss(corpus: CorpusCounts, loss: Loss) -> Iterator[str]:
    yield _cut(f"{loss.pairs:>9,} {loss.pairs / corpus.read:>7.2%}  {loss.words} ({loss.reason})")
    for example in loss.examples[:1]:
        place = f"record {example.record:,}: "
        for text in (example.source, example.target):
            yield _cut(f"{'':{_INDENT}}{place}{text or '(nothing)'}")
            place = " " * len(place)


def _short(count: int) -> str:
    return f"{count:,}" if count < 100_000 else f"{count / 1e6:,.2f} M"


def _cut(line: str) -> str:
    return line if cell_len(line) <= _WIDTH else set_cell_size(line, _WIDTH - 1).rstrip() + "…"
