"""Speed of preprocessing compared with SentencePiece alone, and the cost of each filter."""

import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import sentencepiece
import yaml
from pydantic import TypeAdapter

from nmt_cli.data.filters.duplicates import HeldOutKeys
from nmt_cli.data.filters.pipeline import KeyFilter, LocalFilter, build_filters
from nmt_cli.data.reading import Examples
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.filters import DEFAULT_FILTERS, Filter
from nmt_cli.text.lines import read_lines
from nmt_cli.text.normalization import normalize_lines

_CHUNK = 8192
_FILTERS = [
    {"type": "length"},
    {"type": "ratio"},
    {"type": "identical"},
    {"type": "overlap"},
    {"type": "overlap", "compare": "either"},
    {"type": "duplicates"},
    {"type": "duplicates", "compare": "source"},
    {"type": "near_duplicates"},
    {"type": "script"},
    {"type": "repeats"},
    {"type": "unmatched"},
]


def time_preprocessing(sources: list[str], targets: list[str], synthetic: int) -> None:
    """Print the table `preprocess`."""
    print("| corpus | pairs | processes | cpu | clock | pairs/s | pairs/s a core | MB/s a core | of SP | memory |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer = Tokenizer.train(TokenizerSettings(), sources, targets, seed=1)
        tokenizer.save(folder / "tokenizer")
        for corpus, pairs in (
            ("as it is", zip(sources, targets, strict=True)),
            ("synthetic", joined(sources, targets)),
        ):
            paths = [folder / f"{corpus.split()[0]}.{side}" for side in ("source", "target")]
            count = write(islice(pairs, synthetic), paths)
            size = sum(path.stat().st_size for path in paths)
            alone = sentencepiece_seconds(folder / "tokenizer" / "joint.model", paths)
            for processes in (1, 2):
                ours = run(folder, paths, processes)
                print(
                    f"| {corpus} | {count:,} | {processes} | {ours.cpu:.1f} | {ours.clock:.1f} "
                    f"| {count / ours.clock:,.0f} | {count / ours.cpu:,.0f} | {size / ours.cpu / 1e6:.1f} "
                    f"| {alone / ours.cpu:.0%} | {ours.memory / 2**30:.2f} GiB |",
                    flush=True,
                )


def joined(sources: list[str], targets: list[str]) -> Iterator[tuple[str, str]]:
    """Yield endless pairs, each joined from two random pairs; every tenth contains a new word."""
    rng = random.Random(1)
    while True:
        one, other = rng.randrange(len(sources)), rng.randrange(len(sources))
        new = f" {rng.choice('ABCDE')}{rng.getrandbits(40):x}" if rng.random() < 0.1 else ""
        yield f"{sources[one]}{new} {sources[other]}", f"{targets[one]}{new} {targets[other]}"


def write(pairs: Iterator[tuple[str, str]], paths: list[Path]) -> int:
    """Write pairs as plain text and return their number."""
    count = 0
    with paths[0].open("wb") as source, paths[1].open("wb") as target:
        while some := list(islice(pairs, 100_000)):
            source.write("".join(f"{one}\n" for one, _ in some).encode())
            target.write("".join(f"{other}\n" for _, other in some).encode())
            count += len(some)
    return count


def sentencepiece_seconds(model: Path, paths: list[Path]) -> float:
    """Return the CPU seconds in which SentencePiece encodes all lines, without reading them."""
    processor, seconds = sentencepiece.SentencePieceProcessor(model_file=str(model)), 0.0
    for path in paths:
        lines = read_lines(path)
        while some := list(islice(lines, _CHUNK)):
            started = time.process_time()
            processor.encode(some, num_threads=1)
            seconds += time.process_time() - started
    return seconds


@dataclass(frozen=True)
class Run:
    """Resources used by a command: CPU and wall-clock seconds, bytes."""

    cpu: float
    clock: float
    memory: int


def run(folder: Path, paths: list[Path], processes: int) -> Run:
    """Measure the preparation of these files, less that of two lines: start-up is not included."""
    few, tokenizer = _beginnings(folder, paths), {"path": str(folder / "tokenizer")}
    nothing, all_ = (_run(folder, some, few, tokenizer, processes) for some in (few, paths))
    return Run(all_.cpu - nothing.cpu, all_.clock - nothing.clock, all_.memory)


def time_learning(sources: list[str], targets: list[str], synthetic: int) -> None:
    """Print the table `learning`."""
    print("| algorithm | pairs | clock | memory |\n|---|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / "source", folder / "target"]
        count = write(islice(joined(sources, targets), synthetic), paths)
        for algorithm in ("unigram", "bpe"):
            tokenizer = {"algorithm": algorithm, "vocabulary_size": 32_000}
            ours = _run(folder, paths, _beginnings(folder, paths), tokenizer, 1)
            print(f"| {algorithm} | {count:,} | {ours.clock:.0f} | {ours.memory / 2**30:.2f} GiB |", flush=True)


def _beginnings(folder: Path, paths: list[Path]) -> list[Path]:
    """Write the first two lines of each file to new files."""
    few = [folder / "few.source", folder / "few.target"]
    for path, source in zip(few, paths, strict=True):
        path.write_text("".join(f"{line}\n" for line in islice(read_lines(source), 2)))
    return few


def _run(folder: Path, paths: list[Path], valid: list[Path], tokenizer: dict[str, Any], processes: int) -> Run:
    with tempfile.TemporaryDirectory(dir=folder) as prepared:
        recipe = folder / "recipe.yaml"
        corpora = {
            name: {"corpus": {"source": str(some[0]), "target": str(some[1])}}
            for name, some in (("train", paths), ("valid", valid))
        }
        filters = [{"type": each} for each in ("length", "ratio", "identical", "duplicates")]
        data = {"source_language": "en", "target_language": "de", "prepared": f"{prepared}/data", "filters": filters}
        settings = {
            "run": f"{prepared}/run",
            "data": data | corpora,
            "tokenizer": tokenizer,
            "model": {"architecture": "transformer", "preset": "tiny"},
        }
        recipe.write_text(yaml.safe_dump(settings))
        before, started = _children(), time.monotonic()
        command = [sys.executable, "-m", "nmt_cli", "preprocess", str(recipe), "--nproc", str(processes), "--quiet"]
        with subprocess.Popen(command) as process:
            watch = _Memory(process.pid)
            assert process.wait() == 0
        return Run(_children() - before, time.monotonic() - started, watch.most)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class _Memory:
    """Samples the memory of a process and its children twice a second until it ends."""

    def __init__(self, process: int) -> None:
        self.most = 0
        self._process = process
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while (now := sum(map(_proportional_size, [self._process, *_descendants(self._process)]))) > 0:
            self.most = max(self.most, now)
            time.sleep(0.5)


def _descendants(process: int) -> list[int]:
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    return [each for child in map(int, children) for each in (child, *_descendants(child))]


def _proportional_size(process: int) -> int:
    """Return the proportional set size in bytes; shared pages are divided among their processes."""
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().split("\n"):
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def time_filters(sources: list[str], targets: list[str]) -> None:
    """Print the table `filters`."""
    print("| filter | µs a pair |\n|---|--:|", flush=True)
    sides = [normalize_lines("nfkc", side) for side in (sources, targets)]
    chunks = [
        (sides[0][begin : begin + _CHUNK], sides[1][begin : begin + _CHUNK]) for begin in range(0, len(sources), _CHUNK)
    ]
    held_out = HeldOutKeys.of([("valid/some", zip(sides[0][:2000], sides[1][:2000], strict=True))])
    known = TypeAdapter(list[Filter]).validate_python(_FILTERS)
    cases = [("all defaults together", DEFAULT_FILTERS), *((_title(each), [each]) for each in known)]
    for title, chosen in cases:
        filters = build_filters(chosen, ("en", "de"), held_out)[0 if len(chosen) > 1 else 1 :]
        best = min(_seconds(filters, chunks) for _ in range(3))
        print(f"| {title} | {best / len(sources) * 1e6:.2f} |", flush=True)


def _title(settings: Filter) -> str:
    compare = getattr(settings, "compare", None)
    return settings.type + (f", {compare}" if compare else "")


def _seconds(filters: list[LocalFilter | KeyFilter], chunks: list[tuple[list[str], list[str]]]) -> float:
    started = time.process_time()
    for source, target in chunks:
        examples = Examples(source, target)
        for each in filters:
            _ = each.keys(examples) if isinstance(each, KeyFilter) else each(examples)
    return time.process_time() - started
