"""Measure the time to translate one line at a time, and the errors, of several models and searches.

    python benchmarks/line_latency.py --source valid.letters --reference valid.phones \
        runs/pronunciation_transformer:beam_size=5 runs/pronunciation_transformer:beam_size=1 runs/pronunciation_ctc

Each MODEL may be followed by settings of decoding. In each round, each in turn translates all lines. Times are
processor time of a single thread: for each line the least of all rounds, and the mean over the lines. Errors are the
percentage of lines that differ from the reference.
"""

import argparse
import itertools
import math
import statistics
import time
from pathlib import Path

import torch

from nmt_cli.api import load_translator
from nmt_cli.text.lines import read_lines


def main() -> None:
    """Print a Markdown table with a row for each model and search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL[:KEY=VALUE,...]")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    sources, references = (list(read_lines(path)) for path in (given.source, given.reference))
    translators, names = [], []
    for name in given.models:
        path, _, options = name.partition(":")
        pairs = [option.split("=") for option in options.split(",") if option]
        names.append((path, options))
        translators.append(load_translator(path, **{key: _parsed(value) for key, value in pairs}))
    times = [[math.inf] * len(sources) for _ in names]
    errors = [0] * len(names)
    for round_number, (index, translator) in itertools.product(range(given.rounds), enumerate(translators)):
        for line, (source, reference) in enumerate(zip(sources, references, strict=True)):
            started = time.process_time()
            (found,) = translator.translate([source])
            times[index][line] = min(times[index][line], time.process_time() - started)
            errors[index] += round_number == 0 and found.best.text != reference
    print("| model | search | errors, % | ms per line | relative speed |\n|---|---|--:|--:|--:|")
    means = list(map(statistics.mean, times))
    for (path, options), wrong, mean in zip(names, errors, means, strict=True):
        cells = [Path(path).name, options or "default", f"{100 * wrong / len(sources):.1f}", f"{1000 * mean:.2f}"]
        print(f"| {' | '.join(cells)} | {means[0] / mean:.1f} |")


def _parsed(value: str) -> int | str:
    return int(value) if value.isdigit() else value


if __name__ == "__main__":
    main()
