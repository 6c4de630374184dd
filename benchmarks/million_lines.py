"""Check that `nmt translate` keeps the number and order of a million lines, in constant memory and without delay.

    python benchmarks/million_lines.py --output benchmarks/results/million_lines.md

Lines are read from a pipe and from a file, with one and with two processes, by a one-layer Transformer of width 16 with
random weights and short translations. The output is `--format tsv`, which has the source beside each translation, so
that the order is verified too.

Translations of such a model rarely pass the checks, so that nearly every line is searched four times, with wide beams
and by sampling. `--no-check` avoids that and is closer to a trained model, for which few lines fail.

Columns:
  out          lines written, each beside its own source; any other output is an error
  lines/s      overall speed without start-up
  memory       resident set of all processes, sampled a thousand times, as it varies with each window: medians of the
               second and of the ninth tenth
  per 100,000  growth of memory per 100,000 lines, by least squares from the second to the ninth tenth
  first        seconds from the start of the program to the first translation, and lines written to it until then
"""

import argparse
import itertools
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from markdown_table import table_row
from nmt_cli import __version__
from random_model import save_random_model

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
SETTINGS = {"beam_size": 1, "batch_tokens": 50_000, "max_length_ratio": 0.1}
_MEBIBYTE = 2**20
_MEMORY_SAMPLES = 1000
"""Spread evenly over the lines."""


@dataclass(frozen=True)
class Result:
    """The measurement of one run."""

    way: str
    processes: int
    lines: int
    seconds: float
    memory: list[float]
    """Mebibytes after each thousandth of the lines."""
    first: float
    given_before_first: int

    @property
    def growth(self) -> float:
        """Mebibytes for each 100,000 lines."""
        each = self.lines / _MEMORY_SAMPLES
        later = self.memory[_MEMORY_SAMPLES // 10 : _MEMORY_SAMPLES * 9 // 10]
        return 100_000 * statistics.linear_regression([each * look for look in range(len(later))], later).slope

    def tenth(self, number: int) -> float:
        """Mebibytes in a tenth of the lines, counted from 1."""
        return statistics.median(self.memory[_MEMORY_SAMPLES * (number - 1) // 10 : _MEMORY_SAMPLES * number // 10])

    def row(self) -> str:
        """A row of the table."""
        cells = [
            self.way,
            str(self.processes),
            f"{self.lines:,}",
            f"{self.lines / self.seconds:,.0f}",
            f"{self.tenth(2):,.1f}",
            f"{self.tenth(9):,.1f}",
            f"{self.growth:+.2f}",
            f"{self.first:.1f}",
            f"{self.given_before_first:,}",
        ]
        return table_row(cells)


def main() -> None:
    """Measure, and write a page."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--lines", type=int, default=1_000_000)
    arguments.add_argument("--ways", default="pipe,file")
    arguments.add_argument("--processes", default="1,2")
    arguments.add_argument("--no-check", action="store_true")
    arguments.add_argument("--output", type=Path)
    chosen = arguments.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        model = save_model(Path(folder, "model"))
        for way, processes in itertools.product(chosen.ways.split(","), map(int, chosen.processes.split(","))):
            rows.append(measure(model, way, processes, chosen.lines, not chosen.no_check).row())
            print(rows[-1], file=sys.stderr, flush=True)
    page = "\n".join([*head(), *rows, ""])
    if chosen.output:
        chosen.output.write_text(page)
    print(page)


def head() -> list[str]:
    """What stands above the rows."""
    return [
        "# A million lines",
        "",
        f"Made by `python {' '.join(['benchmarks/million_lines.py', *sys.argv[1:]])}`: nmt {__version__}, torch "
        f"{torch.__version__}, Python {platform.python_version()}. Other programs used the cores, too: counts and "
        "memory are what is measured here.",
        "",
        "| lines by | processes | out | lines/s | memory, second tenth, MiB | ninth | per 100,000 | first, s "
        "| given before |",
        "|:--|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]


def save_model(folder: Path) -> Path:
    """Write a model of one layer."""
    sizes = {"width": 16, "feed_forward": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
    texts = [f"{one} {other}" for one in WORDS for other in WORDS]
    settings = {
        "tokenizer": {"vocabulary_size": 28, "byte_fallback": False},
        "model": {"architecture": "transformer", "preset": "tiny", **sizes},
        "decoding": SETTINGS,
    }
    save_random_model(folder, texts, texts, settings)
    return folder


def source(count: int) -> Iterator[str]:
    """Lines of one to four words, each with its number among them."""
    for number in range(count):
        yield " ".join(WORDS[int(digit)] for digit in str(number)[-4:])


def measure(model: Path, way: str, processes: int, lines: int, check: bool) -> Result:
    """Give lines to `nmt translate`, and look at what comes back."""
    command = [sys.executable, "-m", "nmt_cli", "translate", str(model), "--format", "tsv", "--nproc", str(processes)]
    command += ["--set", f"decoding.check={str(check).lower()}"]
    given = [0]
    with tempfile.TemporaryDirectory() as folder:
        if way == "file":
            command += ["-i", str(write_all(Path(folder, "in"), lines))]
            given = [lines]
        started = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin and process.stdout
        if way == "pipe":
            threading.Thread(target=give, args=(process.stdin, lines, given), daemon=True).start()
        memory = []
        for number, (answer, line) in enumerate(zip(process.stdout, source(lines), strict=True)):
            if number == 0:
                first, given_before_first = time.monotonic(), given[0]
            assert answer.decode().split("\t")[0] == line, f"line {number + 1} is answered by {answer!r}"
            if (number + 1) % (lines // _MEMORY_SAMPLES) == 0 and number + 1 < lines:
                memory.append(resident(process.pid))
        ended = time.monotonic()
        assert process.wait() == 0
    return Result(way, processes, lines, ended - first, memory, first - started, given_before_first)


def give(stdin: IO[bytes], lines: int, given: list[int]) -> None:
    """Write all lines, and count them as they are taken."""
    with stdin:
        for line in source(lines):
            stdin.write(f"{line}\n".encode())
            given[0] += 1


def write_all(path: Path, lines: int) -> Path:
    """A file of all lines."""
    with path.open("w") as file:
        file.writelines(f"{line}\n" for line in source(lines))
    return path


def resident(process: int) -> float:
    """Mebibytes that a process and its children hold."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in [process, *children])
    return pages * 4096 / _MEBIBYTE


if __name__ == "__main__":
    main()
