"""Compute padding and search steps by the number of lines that are sorted together before translation.

    python benchmarks/window_sizes.py train.en.gz train.de.gz

Lines are divided into windows; each window is sorted by length and batched as in search, with the default
decoding.batch_tokens. Lengths are in words; the length of a translation is that of the reference.

  batch        sentences per batch
  padding      padded source tokens per source token
  steps        search steps per 1,000 lines; a step costs the same however few sentences are active
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nmt_cli.recipe.decoding import BeamSettings
from nmt_cli.text.lines import read_lines

WINDOWS = (32, 128, 512, 2048, 8192, 1_000_000)
BEAMS = (1, 5)


@dataclass(frozen=True)
class Pair:
    """Lengths of a line and its translation, eos included."""

    source: int
    target: int


def main() -> None:
    """Print a Markdown table."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("source", type=Path)
    arguments.add_argument("target", type=Path)
    chosen = arguments.parse_args()
    pairs = [
        Pair(len(source.split()) + 1, len(target.split()) + 1)
        for source, target in zip(read_lines(chosen.source), read_lines(chosen.target), strict=True)
    ]
    print(f"{len(pairs):,} lines of {chosen.source.name}, {BeamSettings().batch_tokens:,} tokens in a batch\n")
    print("| beam | window | batch | padding | steps |\n|--:|--:|--:|--:|--:|")
    for beam in BEAMS:
        for window in WINDOWS:
            found = list(batches(pairs, window, beam))
            padding = sum(len(batch) * batch[0].source for batch in found) / sum(pair.source for pair in pairs)
            steps = sum(max(pair.target for pair in batch) for batch in found) / len(pairs) * 1000
            named = f"{window:,}" if window <= len(pairs) else "all"
            print(f"| {beam} | {named} | {len(pairs) / len(found):.1f} | {padding:.3f} | {steps:.0f} |")


def batches(pairs: list[Pair], window: int, beam: int) -> Iterator[list[Pair]]:
    """Yield batches as in `Generator.search`, window by window."""
    for start in range(0, len(pairs), window):
        left = sorted(pairs[start : start + window], key=lambda pair: pair.source, reverse=True)
        while left:
            size = max(1, BeamSettings().batch_tokens // (left[0].source * beam))
            yield left[:size]
            left = left[size:]


if __name__ == "__main__":
    main()
