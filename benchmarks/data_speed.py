"""How fast is the data engine: from text to prepared data, and from prepared data to batches?

    python benchmarks/data_speed.py preprocess ../shared/data/tatoeba-en-de/train.{en,de}.gz [--pairs 10_000_000]
    python benchmarks/data_speed.py learning ../shared/data/tatoeba-en-de/train.{en,de}.gz [--pairs 2_000_000]
    python benchmarks/data_speed.py filters ../shared/data/tatoeba-en-de/train.{en,de}.gz
    python benchmarks/data_speed.py batches ../shared/data/tatoeba-en-de/train.{en,de}.gz

each prints a table in Markdown. `preprocess` runs the command itself, on the corpus and on a synthetic one of so many
pairs: two pairs of the corpus joined, now and then with a word that never came before. Beside it SentencePiece cuts the
same lines into the same subwords, in one thread, and does nothing else; the tokenizer is learned before.

  cpu          processor seconds of all processes; of the command, those of starting and learning apart
  pairs/s      by the clock, and for each core by processor time
  MB/s         of plain text, both sides, for each core
  of SP        SentencePiece's processor time for the same lines as a share of ours: 100 % would be for free
  memory       most of all processes together (proportional set size)

`learning` learns 32,000 subwords from such a synthetic corpus before it cuts it, in one process.

`filters` tells what each filter adds, in microseconds of processor time for a pair.

`batches`: the text is cut into 8,000 subwords, once by a unigram model and once by BPE. The corpus has it so often that
there are a hundred million pairs; its shards are one and the same on disk and soon in memory. One thread does it all.

  read         seconds to read a block, its text changed and cut anew where the settings say so
  plan         seconds to share its pairs out to batches
  assemble     seconds to make all its batches
  tokens/s     target tokens, ends included, in a second of the three together
  go on        seconds from a place in the middle of the corpus to the batches of the next update
"""

import argparse
from pathlib import Path

import torch

from data_engine.batches import time_batches
from data_engine.preprocessing import time_filters, time_learning, time_preprocessing
from nmt_cli.text.lines import read_lines


def main() -> None:
    """Print the table that is asked for."""
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
