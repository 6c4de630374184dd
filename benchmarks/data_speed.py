"""Measure the speed of preprocessing and of making batches.

    python benchmarks/data_speed.py preprocess data/tatoeba-en-de/train.{en,de}.gz [--pairs 10_000_000]
    python benchmarks/data_speed.py learning data/tatoeba-en-de/train.{en,de}.gz [--pairs 2_000_000]
    python benchmarks/data_speed.py filters data/tatoeba-en-de/train.{en,de}.gz
    python benchmarks/data_speed.py batches data/tatoeba-en-de/train.{en,de}.gz

Each command prints a Markdown table. `preprocess` runs `nmt preprocess` on the corpus and on a synthetic one of the
given size: two pairs of the corpus joined, sometimes with a word that occurs nowhere else. For comparison,
SentencePiece alone splits the same lines into the same subwords in one thread. The tokenizer is trained before.

  cpu          CPU seconds of all processes; for the command, start and tokenizer training are listed separately
  pairs/s      per wall-clock second, and per CPU second
  MB/s         of uncompressed text, both sides, per CPU second
  of SP        SentencePiece's CPU time for the same lines as a fraction of the total: 100 % would mean no overhead
  memory       maximum of all processes together (proportional set size)

`learning` trains a tokenizer of 32,000 subwords on such a synthetic corpus before splitting it, in one process.

`filters` prints the cost of each filter in microseconds of CPU time per pair.

`batches` splits the text into 8,000 subwords, with a unigram model and with BPE. The corpus is repeated to a hundred
million pairs; its shards are the same files on disk, which soon are in memory. Everything runs in one thread.

  read         seconds to read a block, with subword sampling and augmentation if the settings have them
  batch        seconds to group its pairs into batches
  collate      seconds to make all its batches
  tokens/s     target tokens, eos included, per second of these three
  resume       seconds from a position in the middle of the corpus to the batches of the next update
"""

import argparse
from pathlib import Path

import torch

from data_engine.batches import time_batches
from data_engine.preprocessing import time_filters, time_learning, time_preprocessing
from nmt_cli.text.lines import read_lines


def main() -> None:
    """Print one of the tables."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    tables = arguments.add_subparsers(dest="table", required=True)
    for name in ("preprocess", "learning", "filters", "batches"):
        table = tables.add_parser(name)
        table.add_argument("source", type=Path)
        table.add_argument("target", type=Path)
        if name in ("preprocess", "learning"):
            table.add_argument("--pairs", type=int, default=10_000_000, help="of the synthetic corpus")
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    sources, targets = list(read_lines(chosen.source)), list(read_lines(chosen.target))
    if chosen.table == "preprocess":
        time_preprocessing(sources, targets, chosen.pairs)
    elif chosen.table == "learning":
        time_learning(sources, targets, chosen.pairs)
    elif chosen.table == "filters":
        time_filters(sources, targets)
    else:
        time_batches(sources, targets)


if __name__ == "__main__":
    main()
