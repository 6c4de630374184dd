"""Compare the training speed of this toolkit with other toolkits, for the same model and data.

    python benchmarks/training_speed.py                                        # nmt only, on core 0
    python benchmarks/training_speed.py --cores 0 --models small,lstm_fed --rounds 3 \\
        --peers eole,opennmt-py --peer-python eole=/opt/eole/bin/python \\
        --peer-python opennmt-py=/opt/opennmt/bin/python --output benchmarks/results/training_speed.md

For each measurement, the toolkit's own training command runs in a separate process, pinned to the given cores with as
many threads. It is observed for some seconds after its second report, and then ended. Toolkits take turns, in reverse
order in every other round, so that noise affects all; figures are medians over rounds.

All toolkits do the same work: text (Multi30k English to German, or its words in sentences as long as those of news),
subwords (one joint SentencePiece unigram vocabulary of 8,000, made by `nmt preprocess`), sizes, dropout 0.1 on
residual sums, attention weights and feed-forward activations, label smoothing 0.1, Adam, gradient norm clipped at 1,
one batch per update. nmt accumulates a batch from the micro-batches that `batch_tokens: auto` chooses, as users do: on
a CPU 2,048 tokens per thread. Batch sizes are in padded tokens: of the target in nmt, of the longer side in eole,
OpenNMT-py and fairseq; Hugging Face counts sentences and receives as many as have that many target tokens on average.

Columns:
  tok/s        target tokens per second, without padding, eos included
  tok/CPU-s    the same per second of processor time: fair on a shared machine
  of product   useful operations, 6 x parameters (tied ones once, embeddings that are only looked up excluded) x target
               tokens, relative to the speed of a square matrix product in the same precision on the same cores,
               measured in the same round
  memory       largest resident set of the process; on a GPU the memory in use according to its driver
  first        seconds from the start of the process to its first report (on a CPU its first update), and processor time
  ratio        to the fastest peer at the same work, in this precision or, if no peer supports it, in fp32; by
               tok/CPU-s on a CPU and tok/s on a GPU
  to fp32      ratio to the fastest peer in fp32
"""

import argparse
import itertools
import json
import shutil
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from markdown_table import table_row
from peers import PEERS
from peers.child import REPOSITORY, Child, ChildError, Speed, count_cores, measure, run
from peers.contract import MODELS, Corpus, System, Work
from peers.corpora import NEWS, mean_length, multi30k, news
from peers.ours import Ours

OURS = "nmt"
REPORT_EVERY_ON_GPU = 10
_COLUMNS = {
    "data": ":--",
    "model": ":--",
    "batch": "--:",
    "precision": ":--",
    "system": ":--",
    "tok/s": "--:",
    "tok/CPU-s": "--:",
    "of product": "--:",
    "memory, MiB": "--:",
    "first, s": "--:",
    "first, CPU-s": "--:",
    "ratio": "--:",
    "to fp32": "--:",
}


@dataclass(frozen=True)
class Yardstick:
    """The machine, and its matrix product speed by precision and clock (wall or cpu), in operations per second."""

    device: str
    description: str
    products: dict[str, dict[str, float]]
    num_parameters: dict[str, int]
    """By model."""


@dataclass(frozen=True)
class Result:
    """One measurement of a system at some work."""

    system: str
    work: Work
    speed: Speed
    of_product: float

    @property
    def per_second(self) -> float:
        return self.speed.tokens / self.speed.wall

    @property
    def per_cpu_second(self) -> float:
        return self.speed.tokens / self.speed.cpu

    @property
    def rate(self) -> float:
        """The rate by which systems are compared."""
        return self.per_second if self.work.device == "cuda" else self.per_cpu_second


def main() -> None:
    options = _options()
    systems: dict[str, System] = {OURS: Ours()}
    systems |= {name: PEERS[name](python) for name, python in options.peers.items()}
    folder: Path = options.folder.resolve()
    corpora = {"multi30k": multi30k(options.text, folder / "multi30k", options.cores)}
    if "news" in options.data:
        corpora["news"] = news(corpora["multi30k"], folder / "news", options.cores)
    results: list[Result] = []
    for turn in range(options.rounds):
        yardstick = measure_machine(folder, corpora["multi30k"], options)
        if turn == 0:
            print(f"{yardstick.description}, cores {options.cores}, {options.rounds} rounds", flush=True)
        for work in works(corpora, yardstick.device, options):
            for name in list(systems)[:: 1 if turn % 2 == 0 else -1]:
                result = measure_one(name, systems[name], work, yardstick, folder / name, options)
                results += [result] if result else []
    lines = [*_heading(yardstick, options), *table(results)]
    print("\n" + "\n".join(lines))
    if options.output:
        options.output.write_text("\n".join(lines) + "\n")


def measure_machine(folder: Path, corpus: Corpus, options: argparse.Namespace) -> Yardstick:
    """Return the current speed of matrix products and the sizes of the models."""
    recipes = []
    for model in options.models:
        model_folder = _emptied(folder / "yardstick" / model)
        Ours().training(Work(corpus, model, "fp32", 1024, "cpu", 16.0), model_folder)
        recipes.append(model_folder / "recipe.yaml")
    log = folder / "yardstick" / "found.json"
    run([sys.executable, "-m", "benchmarks.yardstick", "2", *map(str, recipes)], options.cores, log)
    found = json.loads(log.read_text())
    sizes = dict(zip(options.models, found["weights"], strict=True))
    return Yardstick(found["device"], found["description"], found["products"], sizes)


def works(corpora: dict[str, Corpus], device: str, options: argparse.Namespace) -> Iterator[Work]:
    """All that is to be measured, most like things after one another."""
    every = REPORT_EVERY_ON_GPU if device == "cuda" else 1
    for name, model in itertools.product(options.data, options.models):
        length = mean_length(corpora[name])
        for batch, precision in itertools.product(options.batches, options.precision):
            yield Work(corpora[name], model, precision, batch, device, length, every)


def measure_one(
    name: str, system: System, work: Work, yardstick: Yardstick, folder: Path, options: argparse.Namespace
) -> Result | None:
    """One training, watched; None, with the reason said, if it cannot be done."""
    what = f"{work.corpus.name} {work.model} {work.batch_tokens} {work.precision} {name}"
    refusal = system.refusal(work)
    if refusal:
        print(f"{what}: left out: {refusal}", flush=True)
        return None
    place = _emptied(folder)
    try:
        for number, command in enumerate(system.preparation(work, place)):
            run(command, options.cores, place / f"preparation_{number}.log")
        log = place / "log"
        with Child(system.training(work, place), options.cores, log) as child:
            speed = measure(child, system.journal(place, log), system.count, options.seconds)
    except ChildError as error:
        print(f"{what}: left out: {error}", flush=True)
        return None
    clock = "wall" if work.device == "cuda" else "cpu"
    useful = 6 * yardstick.num_parameters[work.model] * speed.tokens / (speed.wall if clock == "wall" else speed.cpu)
    result = Result(name, work, speed, useful / yardstick.products[work.precision][clock])
    print(
        f"{what}: {result.per_second:,.0f} tok/s, {result.per_cpu_second:,.0f} tok/CPU-s,"
        f" {speed.peak_memory / 2**20:,.0f} MiB, first {speed.first_report:.1f} s"
        f" ({speed.first_report_cpu:.1f} CPU-s)",
        flush=True,
    )
    return result


def table(results: list[Result]) -> list[str]:
    """Lines of Markdown: medians over rounds, with the ratio to the fastest peer."""
    works = list(dict.fromkeys(result.work for result in results))
    rates = {
        (work, name): statistics.median(
            result.rate for result in results if (result.work, result.system) == (work, name)
        )
        for work, name in dict.fromkeys((result.work, result.system) for result in results)
    }
    lines = [table_row(_COLUMNS), table_row(_COLUMNS.values())]
    for work in works:
        fastest_in_fp32 = _fastest_peer(work, "fp32", rates)
        fastest = _fastest_peer(work, work.precision, rates) or fastest_in_fp32
        for name in dict.fromkeys(result.system for result in results if result.work == work):
            same = [result for result in results if (result.work, result.system) == (work, name)]
            cells = [
                work.corpus.name,
                work.model,
                f"{work.batch_tokens:,}",
                work.precision,
                name,
                f"{statistics.median(result.per_second for result in same):,.0f}",
                f"{statistics.median(result.per_cpu_second for result in same):,.0f}",
                f"{statistics.median(result.of_product for result in same):.1%}",
                f"{max(result.speed.peak_memory for result in same) / 2**20:,.0f}",
                f"{statistics.median(result.speed.first_report for result in same):.1f}",
                f"{statistics.median(result.speed.first_report_cpu for result in same):.1f}",
                f"{rates[work, name] / fastest:.2f}" if fastest else "",
                f"{rates[work, name] / fastest_in_fp32:.2f}" if fastest_in_fp32 else "",
            ]
            lines.append(table_row(cells))
    return lines


def _fastest_peer(work: Work, precision: str, rates: dict[tuple[Work, str], float]) -> float | None:
    """Return the best rate of a peer at the same work in a precision, if any was measured."""
    same = replace(work, precision=precision)
    return max((rate for (other, name), rate in rates.items() if name != OURS and other == same), default=None)


def _heading(yardstick: Yardstick, options: argparse.Namespace) -> list[str]:
    products = ", ".join(
        f"{precision} {speed['cpu' if yardstick.device == 'cpu' else 'wall'] / 1e9:,.0f} GFLOP/s"
        for precision, speed in yardstick.products.items()
    )
    sizes = ", ".join(f"{model} {number:,}" for model, number in yardstick.num_parameters.items())
    return [
        f"{yardstick.description}; cores {options.cores}; {options.rounds} rounds of {options.seconds:.0f} s.",
        f"Matrix product of the last round: {products}. Parameters: {sizes}.",
        *([f"News: {NEWS}."] if "news" in options.data else []),
        "",
    ]


def _emptied(folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--cores", default="0", help="cores to run on, such as 0 or 0-3 (default 0); also the number of threads")
    add("--models", default="small", help=f"some of {','.join(MODELS)} (default small)")
    add("--precision", default="fp32,bf16", help="fp32, bf16 or both (default)")
    add("--batches", default="1024,4096", help="padded tokens per batch (default 1024,4096)")
    add("--data", default="multi30k", help="multi30k (default), news or both")
    add("--seconds", type=float, default=20.0, help="duration of each measurement (default 20)")
    add("--rounds", type=int, default=1, help="measurements of each system (default 1)")
    add("--peers", default="", help=f"some of {','.join(PEERS)}")
    add("--peer-python", action="append", default=[], metavar="NAME=PATH", help="Python that has the peer; repeatable")
    add("--text", type=Path, default=REPOSITORY.parent / "shared/data/multi30k", help="folder of Multi30k's *.gz files")
    add(
        "--folder",
        type=Path,
        default=REPOSITORY / "runs/training_speed",
        help="folder for data and runs; emptied as needed",
    )
    add("--output", type=Path, help="write the table to this file")
    options = parser.parse_args()
    for name in ("models", "precision", "data"):
        setattr(options, name, getattr(options, name).split(","))
    options.batches = [int(batch) for batch in options.batches.split(",")]
    pythons = dict(entry.split("=", 1) for entry in options.peer_python)
    names = list(filter(None, options.peers.split(",")))
    unknown = [f"--peers {name}" for name in names if name not in PEERS]
    unknown += [f"--models {name}" for name in options.models if name not in MODELS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    missing = [name for name in names if not Path(pythons.get(name, "")).is_file()]
    if missing:
        parser.error(f"--peer-python {missing[0]}=PATH must name the Python that has it")
    if not (options.text / "train.en.gz").is_file():
        parser.error(f"{options.text} does not hold train.en.gz; name the folder by --text")
    count_cores(options.cores)
    options.peers = {name: Path(pythons[name]).absolute() for name in names}
    return options


if __name__ == "__main__":
    main()
