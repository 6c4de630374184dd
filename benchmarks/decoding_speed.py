"""Compare the decoding speed of this toolkit with other engines at the same model size.

    python benchmarks/decoding_speed.py                              # ours and CTranslate2 if installed, on core 0
    python benchmarks/decoding_speed.py --cores 0 --models small,base --batches 32,64 --precisions fp32,int8 \\
        --peers huggingface,opennmt-py --peer-python huggingface=/opt/hf/bin/python \\
        --peer-python opennmt-py=/opt/onmt/bin/python --rounds 3 --output benchmarks/results/decoding_speed.md
    python benchmarks/decoding_speed.py --models "" --trained runs/multi30k_transformer   # at natural lengths

All engines do the same work: sentences of Multi30k's test2016, English to German, in 8,000 joint subwords, sorted by
length and batched; some batches are used, spread evenly over all lengths. Weights are random; the translations of a
batch are forced to the mean length of their references, eos included. CTranslate2 has our weights, by `nmt export` (on
a GPU it computes in float16 where we use bf16); other toolkits have models of the same size.

With --trained, a trained model translates test2016 at natural lengths, from lines to lines: what a user sees.

Each engine is a process of its own, pinned to the given cores with as many threads, which loads the model once and then
answers requests. Engines take turns at each batch size and search, in reverse order in every other round, so that noise
affects all; figures are medians over rounds.

Columns:
  tok/s         target tokens per second, eos included
  tok/CPU-s     the same per second of processor time: fair on a shared machine
  sent/s        sentences per second of processor time, on a GPU per second
  ctranslate2   ratio to CTranslate2 at the same work, in this precision or, if unavailable, in fp32; by tok/CPU-s on a
                CPU and tok/s on a GPU
  python        ratio to the fastest other toolkit, in fp32
  memory        largest resident set of the process so far, small batches first
  start         seconds from the start of the process until the model is ready, and processor time
"""

import argparse
import itertools
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from decoders import CTRANSLATE2, DECODERS, OURS
from decoders.asking import Answer, Asked, Asker, AskError, batches_of
from decoders.preparing import MODELS, Prepared, prepare
from markdown_table import table_row
from peers.child import REPOSITORY, count_cores, run

_SEARCHES = {"greedy": 1, "beam5": 5}
_COLUMNS = {
    "model": ":--",
    "search": ":--",
    "batch": "--:",
    "precision": ":--",
    "engine": ":--",
    "tok/s": "--:",
    "tok/CPU-s": "--:",
    "sent/s": "--:",
    "ctranslate2": "--:",
    "python": "--:",
    "memory, MiB": "--:",
    "start, s": "--:",
    "start, CPU-s": "--:",
}
_SLOWNESS = {OURS: 1.0, CTRANSLATE2: 1.2}
"""Upper bounds of the time of an engine relative to ours, for the estimate of the total; 4 for others."""
_START_SECONDS = 10.0


@dataclass(frozen=True)
class Work:
    """A task at which engines are compared."""

    model: str
    search: str
    batch: int
    precision: str


@dataclass(frozen=True)
class Result:
    """One measurement of an engine."""

    engine: str
    work: Work
    asked: Asked
    answer: Answer
    start: Answer
    device: str

    @property
    def seconds(self) -> float:
        """The time by which engines are compared."""
        return self.answer.wall if self.device == "cuda" else self.answer.cpu

    @property
    def rate(self) -> float:
        return self.asked.tokens / self.seconds


def main() -> None:
    options = _options()
    results: list[Result] = []
    print(f"about {math.ceil(_estimate(options) / 60)} minutes", flush=True)
    until = time.monotonic() + 60 * options.minutes
    lines: list[str] = []
    if options.models:
        prepared = prepare(options.text, options.folder.resolve(), options.models, options.cores)
        for model, precision in itertools.product(options.models, options.precisions):
            results += measure(prepared, model, precision, options, until)
            lines = [*prepared.heading(options.cores, options.rounds), "", *table(results)]
            _write(lines, options.output)
    if options.trained:
        lines += ["", *measure_trained(options)]
        _write(lines, options.output)
    print("\n" + "\n".join(lines))


def _write(lines: list[str], output: Path | None) -> None:
    """Write the results so far."""
    if output:
        title = [
            "# Decoding speed beside other engines",
            "",
            f"`{' '.join(['python', *_without_paths(sys.argv)])}`",
            "",
        ]
        output.write_text("\n".join([*title, *lines]) + "\n")


def _without_paths(arguments: list[str]) -> list[str]:
    """Return the command line without paths of this machine."""
    paths = ("--peer-python", "--text", "--folder", "--output")
    before = ["", *arguments]
    return [each for each, last in zip(arguments, before, strict=False) if each not in paths and last not in paths]


def measure(prepared: Prepared, model: str, precision: str, options: argparse.Namespace, until: float) -> list[Result]:
    """All searches and batch sizes with one model in one precision; what cannot be done is left out, and said."""
    askers: dict[str, Asker] = {}
    found: list[Result] = []
    try:
        for name, python in options.engines.items():
            refusal = DECODERS[name].refusal(prepared.model(model), precision)
            if refusal:
                print(f"{model} {precision} {name}: left out: {refusal}", flush=True)
                continue
            try:
                askers[name] = Asker(DECODERS[name].program, python, prepared.settings(model, precision), options.cores)
            except AskError as error:
                print(f"{model} {precision} {name}: left out: {error}", flush=True)
        for search, batch in itertools.product(options.searches, options.batches):
            work = Work(model, search, batch, precision)
            found += _take_turns(askers, work, prepared, options, until)
    finally:
        for asker in askers.values():
            asker.end()
    return found


def _take_turns(
    askers: dict[str, Asker], work: Work, prepared: Prepared, options: argparse.Namespace, until: float
) -> list[Result]:
    """Each engine warms up, which tells how many batches fill the time; then all decode these in turn."""
    found: list[Result] = []
    if not askers or time.monotonic() > until:
        print(f"{work.model} {work.search} {work.batch} {work.precision}: left out: no time, or nobody to measure")
        return found
    beam, all_batches = _SEARCHES[work.search], batches_of(prepared.sentences, work.batch)
    warm = Asked(beam, all_batches[len(all_batches) // 2 :][:1])
    seconds = {}
    for _ in range(2):
        for name in list(askers):
            if answer := _answer(askers, name, warm, work):
                seconds[name] = answer.wall if prepared.device == "cuda" else answer.cpu
    number = int(options.seconds / seconds.get(OURS, max(seconds.values(), default=1.0)))
    number = min(max(1, number), len(all_batches))
    asked = Asked(beam, [all_batches[int((place + 0.5) * len(all_batches) / number)] for place in range(number)])
    for turn in range(options.rounds):
        for name in list(askers)[:: 1 if turn % 2 == 0 else -1]:
            start, answer = askers[name].start, _answer(askers, name, asked, work)
            if answer is None:
                continue
            result = Result(name, work, asked, answer, start, prepared.device)
            found.append(result)
            print(
                f"{work.model} {work.search} {work.batch} {work.precision} {name}:"
                f" {asked.tokens / answer.wall:,.0f} tok/s, {asked.tokens / answer.cpu:,.0f} tok/CPU-s,"
                f" {asked.sentences / result.seconds:,.1f} sent/s",
                flush=True,
            )
    return found


def _answer(askers: dict[str, Asker], name: str, asked: Asked, work: Work) -> Answer | None:
    """What an engine answers; one that fails is ended and asked no more, and that is said."""
    try:
        return askers[name].ask(asked)
    except AskError as error:
        print(f"{work.model} {work.search} {work.batch} {work.precision} {name}: left out: {error}", flush=True)
        askers.pop(name).end()
        return None


def measure_trained(options: argparse.Namespace) -> list[str]:
    """Lines of Markdown: BLEU and speed of the trained model at natural lengths."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        program = [sys.executable, "benchmarks/trained_model.py", str(options.trained.resolve())]
        run(
            [*program, str(options.text.resolve()), ",".join(options.precisions), str(options.rounds)],
            options.cores,
            log,
        )
        return log.read_text().rstrip("\n").split("\n")


def table(results: list[Result]) -> list[str]:
    """Lines of Markdown: medians over rounds, with ratios to CTranslate2 and to the fastest toolkit in Python."""
    rates = {
        (work, name): statistics.median(each.rate for each in results if (each.work, each.engine) == (work, name))
        for work, name in dict.fromkeys((result.work, result.engine) for result in results)
    }
    lines = [table_row(_COLUMNS), table_row(_COLUMNS.values())]
    for work, name in sorted(rates, key=lambda key: _order(results, key[0])):
        same = [result for result in results if (result.work, result.engine) == (work, name)]
        in_fp32 = replace(work, precision="fp32")
        engine = rates.get((work, CTRANSLATE2)) or rates.get((in_fp32, CTRANSLATE2))
        toolkits = [rate for (other, who), rate in rates.items() if other == in_fp32 and who not in (OURS, CTRANSLATE2)]
        cells = [
            work.model,
            work.search,
            str(work.batch),
            work.precision,
            name,
            f"{statistics.median(each.asked.tokens / each.answer.wall for each in same):,.0f}",
            f"{statistics.median(each.asked.tokens / each.answer.cpu for each in same):,.0f}",
            f"{statistics.median(each.asked.sentences / each.seconds for each in same):,.1f}",
            f"{rates[work, name] / engine:.2f}" if engine else "",
            f"{rates[work, name] / max(toolkits):.2f}" if toolkits else "",
            f"{max(each.answer.memory for each in same) / 2**20:,.0f}",
            f"{same[0].start.wall:.1f}",
            f"{same[0].start.cpu:.1f}",
        ]
        lines.append(table_row(cells))
    return lines


def _order(results: list[Result], work: Work) -> int:
    """Sort key: group by model, search and batch size, in the order of measurement."""
    alike = [(result.work.model, result.work.search, result.work.batch) for result in results]
    return alike.index((work.model, work.search, work.batch))


def _estimate(options: argparse.Namespace) -> float:
    """Return an upper bound of the total time in seconds."""
    models = len(options.models) * len(options.precisions)
    each = sum(_SLOWNESS.get(name, 4.0) for name in options.engines) * options.seconds * (options.rounds + 1)
    total = models * (len(options.searches) * len(options.batches) * each + len(options.engines) * _START_SECONDS)
    return float(min(total, 60 * options.minutes)) + 120 * len(options.precisions) * options.rounds * bool(
        options.trained
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    peers = [name for name in DECODERS if name not in (OURS, CTRANSLATE2)]
    add("--cores", default="0", help="cores to run on, such as 0 or 0-3 (default 0); also the number of threads")
    add("--models", default="small", help=f"some of {','.join(MODELS)} (default small); empty for none")
    add("--searches", default="greedy,beam5", help="greedy, beam5 or both (default)")
    add("--batches", default="1,32,64", help="sentences per batch (default 1,32,64)")
    add("--precisions", default="fp32,bf16,int8", help="some of fp32,bf16,int8 (default all)")
    add("--seconds", type=float, default=4.0, help="duration of a measurement of our engine (default 4)")
    add("--rounds", type=int, default=3, help="measurements of each engine (default 3)")
    add("--minutes", type=float, default=600.0, help="start no new measurement after this time")
    add("--peers", default="", help=f"some of {','.join(peers)}")
    add("--peer-python", action="append", default=[], metavar="NAME=PATH", help="Python that has the peer; repeatable")
    add("--trained", type=Path, metavar="MODEL", help="measure a trained model on test2016, too")
    add("--text", type=Path, default=REPOSITORY.parent / "shared/data/multi30k", help="folder of Multi30k's *.gz files")
    add("--folder", type=Path, default=REPOSITORY / "runs/decoding_speed", help="folder for data and models")
    add("--output", type=Path, help="write the table to this file")
    options = parser.parse_args()
    for name in ("models", "searches", "precisions", "peers", "batches"):
        setattr(options, name, list(filter(None, getattr(options, name).split(","))))
    options.batches = sorted(map(int, options.batches))
    known: dict[str, Collection[str]] = {
        "models": MODELS,
        "searches": _SEARCHES,
        "precisions": ("fp32", "bf16", "int8"),
        "peers": peers,
    }
    for name, names in known.items():
        for given in getattr(options, name):
            if given not in names:
                parser.error(f"unknown: --{name} {given}")
    pythons = dict(entry.split("=", 1) for entry in options.peer_python)
    missing = [name for name in options.peers if not Path(pythons.get(name, "")).is_file()]
    if missing:
        parser.error(f"--peer-python {missing[0]}=PATH must name the Python that has it")
    if not (options.text / "train.en.gz").is_file():
        parser.error(f"{options.text} does not hold train.en.gz; name the folder by --text")
    count_cores(options.cores)
    here = dict.fromkeys((OURS, CTRANSLATE2), Path(sys.executable))
    options.engines = here | {name: Path(pythons[name]).absolute() for name in options.peers}
    return options


if __name__ == "__main__":
    main()
