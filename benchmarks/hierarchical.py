"""Compare encoders for long sources at equal parameters: flat, hierarchical, and local with global tokens.

    python benchmarks/hierarchical.py --lengths 100,400,1000,4000 --minutes 1.5

Cost: a Transformer of a preset makes updates on random batches of about 4,000 source tokens; each cell is measured in a
process of its own, on one thread. Time is the processor time of the fastest of three updates, after a first one, with
their optimizer steps; memory is by how much the peak of the process grew since the model was built. Attention dropout
decides which kernel a CPU uses.

Score: small models learn to extract names. A source of random words has, at random places, one name of each of eight
classes; the target is these names in the order of the classes. Each model is trained for --minutes of processor time on
sources of 20 to 1,000 words, as with long ones alone attention takes much longer to learn; ROUGE-L and exact matches
are of 100 other sources of each length.

Each result is appended to FOLDER/results.jsonl, and what has a result is not measured again. At the end, all results
are printed as Markdown tables.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.nn import functional

from markdown_table import table_row
from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, ModelInputs, VocabularySpec
from nmt_cli.recipe.model import TransformerSettings
from peers.child import REPOSITORY

_NMT = "import sys, time; time.monotonic = time.perf_counter = time.process_time; from nmt_cli.cli import main; main()"
"""nmt, with processor time as its clock."""
_ENCODERS: dict[str, dict[str, Any]] = {
    "flat": {"type": "flat"},
    "hierarchical": {"type": "hierarchical", "segment_tokens": 64, "document_layers": 1},
    "local": {"type": "local", "block_tokens": 32, "global_tokens": 8},
}
_VOCABULARY, _SOURCE_TOKENS, _TARGET_LENGTH, _UPDATES = 8000, 4000, 32, 3
_NUM_CLASSES, _NUM_NAMES, _NUM_WORDS = 8, 8, 200
_TRAINING_LENGTHS, _TEST_LENGTHS = (20, 30, 50, 100, 200, 400, 1000), (100, 400, 1000)
_TRAINING_PAIRS = 25_000


def main() -> None:
    options = _options()
    if options.cell:
        print(json.dumps(_cost(json.loads(options.cell))))
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    results = options.folder / "results.jsonl"
    for key in _cells(options):
        if key not in ({k: result.get(k) for k in key} for result in _read(results)):
            found = _score(key, options.folder) if key["part"] == "score" else _cost_in_process(key)
            with results.open("a") as file:
                file.write(json.dumps({**key, **found}) + "\n")
    print(_tables(_read(results)))


def _cells(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield what identifies each measurement."""
    for length in options.lengths:
        for dropout in (0.1, 0.0):
            for encoder in _ENCODERS:
                cost = {"attention_dropout": dropout, "preset": options.preset}
                yield {"part": "cost", "encoder": encoder, "length": length, **cost}
    for encoder in _ENCODERS if options.minutes else ():
        yield {"part": "score", "encoder": encoder, "minutes": options.minutes, "seed": options.seed}


def _cost_in_process(key: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, __file__, "--cell", json.dumps(key)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def _cost(key: dict[str, Any]) -> dict[str, Any]:
    """Measure updates of a model with random parameters and batches."""
    settings = {
        "architecture": "transformer",
        "preset": key["preset"],
        "encoder": _ENCODERS[key["encoder"]],
        "attention_dropout": key["attention_dropout"],
    }
    torch.manual_seed(1)
    model = build(TransformerSettings.model_validate(settings), VocabularySpec(_VOCABULARY, _VOCABULARY)).train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    sentences = max(1, _SOURCE_TOKENS // key["length"])
    peak, seconds = _peak_memory(), []
    for _ in range(_UPDATES + 1):
        source = torch.randint(_VOCABULARY, (sentences, key["length"]))
        target = torch.randint(_VOCABULARY, (2, sentences, _TARGET_LENGTH))
        began = time.process_time()
        optimizer.zero_grad()
        output = model.decode(model.encode(ModelInputs.from_ids(source)), DecoderInput(target[0]))
        functional.cross_entropy(model.logits(output), target[1].flatten()).backward()
        optimizer.step()
        seconds.append(time.process_time() - began)
    parameters = sum(weight.numel() for weight in model.parameters())
    memory = _peak_memory() - peak
    return {"seconds": min(seconds[1:]), "memory": memory, "parameters": parameters}


def _peak_memory() -> int:
    """Return the peak resident set in bytes."""
    peak = next(line for line in Path("/proc/self/status").read_text().split("\n") if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024


def _score(key: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train a model on extraction and return its scores on each test set."""
    data = folder / "data"
    if not data.exists():
        _write_text(data)
    run = folder / f"{key['encoder']}-{key['seed']}"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir()
    sides = {
        part: {"source": str(data / f"{part}.source"), "target": str(data / f"{part}.target")}
        for part in ("train", "valid", *map(str, _TEST_LENGTHS))
    }
    sizes = {"width": 64, "feed_forward": 128, "heads": 4, "encoder_layers": 3, "decoder_layers": 2}
    rates = {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
    recipe = {
        "run": str(run / "run"),
        "seed": key["seed"],
        "data": {
            "source_language": "en",
            "target_language": "en",
            "prepared": str(data / "prepared"),
            "filters": [],
            "max_length": max(_TRAINING_LENGTHS) + 10,
            **{part: {"extraction": sides.pop(part)} for part in ("train", "valid")},
            "test": sides,
        },
        "tokenizer": {"algorithm": "word"},
        "model": {"architecture": "transformer", "encoder": _ENCODERS[key["encoder"]], **sizes, **rates},
        "training": {
            "update_tokens": 200,
            "label_smoothing": 0.0,
            "optimizer": {"learning_rate": 4e-3},
            "schedule": {"type": "linear", "warmup": 50},
            "limits": {"minutes": key["minutes"]},
            "validation": {"every": 100_000, "metric": "loss", "patience": None},
            "logging": {"every": 100},
        },
        "decoding": {"beam_size": 1, "split_sentences_above": None, "check": False, "max_length": 20},
        "evaluation": {"metrics": ["rougeL", "exact_match"], "resamples": None},
    }
    path = run / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    for command in ("preprocess", "train", "evaluate"):
        _nmt(run, command, str(path))
    summary, scores = json.loads((run / "run/run.json").read_text()), {}
    for length in _TEST_LENGTHS:
        found = json.loads((run / f"run/evaluation/{length}/scores.json").read_text())
        [rouge] = [entry["score"] for entry in found["scores"] if "rouge" in entry["name"].lower()]
        scores[length] = {"rouge": rouge, "exact_match": found["exact_match"]}
    return {"scores": scores, "updates": summary["update"]}


def _write_text(folder: Path) -> None:
    """Write sources and targets for training and validation, of all lengths, and test sets of one length each."""
    folder.mkdir()
    rng = random.Random(1)
    parts = {"train": (_TRAINING_PAIRS, _TRAINING_LENGTHS), "valid": (50, _TRAINING_LENGTHS)}
    for part, (count, lengths) in (parts | {str(length): (100, (length,)) for length in _TEST_LENGTHS}).items():
        pairs = [_pair(rng, rng.choice(lengths)) for _ in range(count)]
        for side, lines in zip(("source", "target"), zip(*pairs, strict=True), strict=True):
            (folder / f"{part}.{side}").write_text("".join(f"{line}\n" for line in lines))


def _pair(rng: random.Random, length: int) -> tuple[str, str]:
    source = rng.choices([f"w{index}" for index in range(_NUM_WORDS)], k=length)
    names = [f"n{index}x{rng.randrange(_NUM_NAMES)}" for index in range(_NUM_CLASSES)]
    for index, name in zip(rng.sample(range(length), _NUM_CLASSES), names, strict=True):
        source[index] = name
    return " ".join(source), " ".join(names)


def _nmt(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("ab") as log:
        command = [sys.executable, "-c", _NMT, *arguments]
        subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=log, stderr=log, check=True)


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _tables(results: list[dict[str, Any]]) -> str:
    rows = [table_row(["words", "attention dropout", "encoder", "parameters", "s per update", "MiB", "time", "memory"])]
    rows.append(table_row(["--:", "--:", ":--", *["--:"] * 5]))
    costs = [each for each in results if each["part"] == "cost"]
    flat = {(each["length"], each["attention_dropout"]): each for each in costs if each["encoder"] == "flat"}
    for each in costs:
        base = flat[each["length"], each["attention_dropout"]]
        ratios = [f"{each[name] / base[name]:.2f}" for name in ("seconds", "memory")]
        cell = [f"{each['length']:,}", f"{each['attention_dropout']}", each["encoder"], f"{each['parameters']:,}"]
        rows.append(table_row([*cell, f"{each['seconds']:.2f}", f"{each['memory'] / 2**20:.0f}", *ratios]))
    lengths = [f"{length:,} words" for length in _TEST_LENGTHS]
    rows += ["", table_row(["encoder", "minutes", "seed", "updates", *lengths]), table_row([":--", *["--:"] * 6])]
    for each in results:
        if each["part"] == "score":
            cell = [each["encoder"], f"{each['minutes']:g}", str(each["seed"]), f"{each['updates']:,}"]
            scores = [f"{found['rouge']:.1f} ({found['exact_match']:.0f})" for found in each["scores"].values()]
            rows.append(table_row([*cell, *scores]))
    return "\n".join(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/hierarchical"), help="folder for results and runs")
    parser.add_argument("--lengths", default="100,400,1000,4000", help="words of the sources whose cost is measured")
    parser.add_argument("--preset", default="tiny", help="size of the models whose cost is measured")
    parser.add_argument("--minutes", type=float, default=1.5, help="processor time of each training; 0: no training")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.lengths = [int(part) for part in options.lengths.split(",") if part]
    options.folder = options.folder.resolve()
    return options


if __name__ == "__main__":
    main()
