"""Compare the speed of two checkouts of nmt: process CPU time of training and decoding in interleaved pairs of runs.

    python benchmarks/checkout_speed.py OTHER_CHECKOUT --pairs 20 --core 1

Each run is a whole process (`nmt train` or `nmt translate` of the demo recipe) on one pinned core. It prints the median
over pairs of (CPU time of the other checkout / CPU time of this one), with a 95 % bootstrap interval: above 1, this
checkout is faster. Alternating the order within pairs cancels drift of the machine's speed.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
RECIPE = Path("recipes/number_words_transformer.yaml")
RUN = Path("runs/number_words_transformer")


class Checkout:
    """A checkout of nmt with a working folder that holds the demo's data and a trained model."""

    def __init__(self, root: Path, folder: Path, core: int) -> None:
        self.root, self.folder, self.core = root, folder, core
        folder.mkdir()
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(root),
            "OMP_NUM_THREADS": "1",
        }

    def run(self, *arguments: str) -> float:
        """Run a Python program to its end and return its CPU time in seconds, user and system."""
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, {self.core}),
        )
        assert process.stderr is not None
        messages = process.stderr.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{self.root}: {' '.join(arguments)} failed:\n{messages[-2000:]}")
        return usage.ru_utime + usage.ru_stime

    def nmt(self, *arguments: str) -> float:
        return self.run("-m", "nmt_cli", *arguments)

    def prepare(self) -> None:
        """Make the demo's data and train its model for a short time."""
        self.run(str(self.root / "data_scripts" / "number_words.py"))
        recipe = str(self.root / RECIPE)
        self.nmt("preprocess", recipe)
        self.nmt("train", recipe, "--set", "training.limits.updates=200", "--set", "training.validation.every=200")
        self.model = self.folder / "model"
        shutil.copytree(self.folder / RUN / "model", self.model)

    def train(self) -> float:
        """Train for 60 updates with a validation at the end; return the CPU time."""
        shutil.rmtree(self.folder / RUN)
        limits = ("--set", "training.limits.updates=60", "--set", "training.validation.every=60")
        return self.nmt("train", str(self.root / RECIPE), *limits)

    def translate(self, beam_size: int, sentences: int) -> float:
        """Translate the first sentences of the training set; return the CPU time."""
        source = self.folder / f"source.{sentences}"
        if not source.exists():
            lines = (self.folder / "data" / "number_words" / "train.en").read_bytes().split(b"\n")[:sentences]
            source.write_bytes(b"\n".join(lines) + b"\n")
        (self.folder / "out.de").unlink(missing_ok=True)
        (self.folder / "out.de.nmt.json").unlink(missing_ok=True)
        search = ("--set", f"decoding.beam_size={beam_size}")
        return self.nmt("translate", str(self.model), "-i", str(source), "-o", "out.de", "--no-check", *search)


TASKS: dict[str, Callable[[Checkout], float]] = {
    "training": Checkout.train,
    "decoding, beam 5": lambda checkout: checkout.translate(5, 5000),
    "decoding, greedy": lambda checkout: checkout.translate(1, 12000),
}


def interval(ratios: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the median, from 10,000 resamples."""
    rng = random.Random(1)
    medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(10_000))
    return medians[249], medians[9749]


def compare(this: Checkout, other: Checkout, pairs: int) -> None:
    """Time each task in interleaved pairs and print the ratios."""
    for name, task in TASKS.items():
        ratios, seconds = [], []
        for index in range(pairs + 1):
            order = [this, other] if index % 2 else [other, this]
            times = {checkout: task(checkout) for checkout in order}
            if index:  # the first pair warms up caches
                ratios.append(times[other] / times[this])
                seconds.append(times[this])
        low, high = interval(ratios)
        median = statistics.median(ratios)
        print(
            f"{name}: {median:.3f} ({low:.3f} to {high:.3f}), {pairs} pairs, {statistics.median(seconds):.1f} s a run",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="root of the other checkout")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--core", type=int, default=0, help="processor core on which every run is pinned")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        this = Checkout(HERE, Path(folder) / "this", arguments.core)
        other = Checkout(arguments.other.resolve(), Path(folder) / "other", arguments.core)
        for checkout in (this, other):
            checkout.prepare()
        compare(this, other, arguments.pairs)


if __name__ == "__main__":
    main()
