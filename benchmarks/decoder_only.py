"""Compare decoder-only translators with an encoder-decoder of about as many parameters, trained for equal time.

    python data_scripts/multi30k.py
    python benchmarks/decoder_only.py --minutes 6 --seeds 1,2

Each model is trained on Multi30k, English to German, for --minutes of processor time on one thread, so that other
programs on the machine do not matter much, and validated on the whole validation set with beam 5: the score is that of
the published model, the average of its best checkpoints or the best one. One model is trained at a time. Each result is
appended to FOLDER/results.jsonl, and what has a result is not run again. At the end, all results are printed as a
Markdown table.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from safetensors import safe_open

from markdown_table import table_row
from nmt_cli.recipe.model import TransformerSettings
from peers.child import REPOSITORY

_NMT = "import sys, time; time.monotonic = time.perf_counter = time.process_time; from nmt_cli.cli import main; main()"
"""nmt, with processor time as its clock."""
_LAYERS = {"tiny": 10, "small": 7}
"""Layers of a decoder-only model with as many parameters as the encoder and decoder layers of a preset."""
_MODELS = ("encoder-decoder", "bidirectional", "causal")


def main() -> None:
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    results = options.folder / "results.jsonl"
    for seed in options.seeds:
        for name in options.models:
            key = {"model": name, "seed": seed, "minutes": options.minutes, "preset": options.preset}
            if key not in ({k: result[k] for k in key} for result in _read(results)):
                found = _run(name, seed, options)
                with results.open("a") as file:
                    file.write(json.dumps({**key, **found}) + "\n")
    print(_table(_read(results)))


def _run(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train a model and return its score on the validation set."""
    folder = options.folder / f"{name}-{options.preset}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    sides = {
        part: {"source": str(options.multi30k / f"{part}.en"), "target": str(options.multi30k / f"{part}.de")}
        for part in ("train", "valid")
    }
    recipe = {
        "run": str(folder / "run"),
        "seed": seed,
        "data": {
            "source_language": "en",
            "target_language": "de",
            "prepared": str(options.folder / "prepared"),
            "train": {"multi30k": sides["train"]},
            "valid": {"multi30k": sides["valid"]},
            "test": {"valid": dict(sides["valid"])},
        },
        "tokenizer": {"vocabulary_size": 6000},
        "model": _model(name, options.preset),
        "training": {
            "update_tokens": 1024,
            "optimizer": {"learning_rate": 2e-3},
            "schedule": {"type": "linear", "warmup": 100},
            "limits": {"minutes": options.minutes},
            "validation": {"every": 1000, "metric": "loss", "patience": None},
            "logging": {"every": 50},
        },
        "decoding": {"beam_size": 5},
        "evaluation": {"metrics": ["bleu", "chrf"]},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.dump(recipe, sort_keys=False))
    for command in ("preprocess", "train", "evaluate"):
        _nmt(folder, command, str(path))
    scores = json.loads((folder / "run/evaluation/valid/scores.json").read_text())
    summary = json.loads((folder / "run/run.json").read_text())
    shutil.rmtree(folder / "run/checkpoints")
    values = {entry["name"].lower(): entry["score"] for entry in scores["scores"]}
    return {**values, "updates": summary["update"], "parameters": _parameters(folder / "run/model/model.safetensors")}


def _model(name: str, preset: str) -> dict[str, Any]:
    """Return the model section of a recipe."""
    sizes: dict[str, Any] = dict(TransformerSettings.sizes[preset])
    if name != "encoder-decoder":
        sizes = {key: value for key, value in sizes.items() if not key.endswith("layers")}
        sizes |= {"layers": _LAYERS[preset], "source_attention": name}
    architecture = "transformer" if name == "encoder-decoder" else "decoder_only"
    return {"architecture": architecture, "dropout": 0.1, **sizes}


def _parameters(weights: Path) -> int:
    """Return the number of parameters in a file."""
    with safe_open(weights, "np") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118


def _nmt(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("ab") as log:
        command = ["nice", "-n", "3", sys.executable, "-c", _NMT, *arguments]
        subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=log, stderr=log, check=True)


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _table(results: list[dict[str, Any]]) -> str:
    columns = ["model", "parameters", "minutes", "seed", "updates", "BLEU", "chrF"]
    rows = [table_row(columns), table_row([":--", *["--:"] * 6])]
    for each in sorted(results, key=lambda result: _MODELS.index(result["model"])):
        size = f"{each['parameters'] / 1e6:.2f} M"
        scores = f"{each['bleu']:.2f}", f"{each['chrf2']:.1f}"
        run = f"{each['minutes']:g}", str(each["seed"]), f"{each['updates']:,}"
        rows.append(table_row([each["model"], size, *run, *scores]))
    return "\n".join(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--multi30k", type=Path, default=Path("data/multi30k"), help="folder of the corpus")
    parser.add_argument("--folder", type=Path, default=Path("runs/decoder_only"), help="folder for the runs")
    parser.add_argument("--minutes", type=float, default=6.0, help="training.limits.minutes, of processor time")
    parser.add_argument("--preset", choices=list(_LAYERS), default="small", help="size of the models")
    parser.add_argument("--seeds", default="1,2", help="seeds, separated by commas")
    parser.add_argument("--models", default=",".join(_MODELS), help="models, separated by commas")
    options = parser.parse_args()
    options.seeds, options.models = list(map(int, options.seeds.split(","))), options.models.split(",")
    options.folder, options.multi30k = options.folder.resolve(), options.multi30k.resolve()
    return options


if __name__ == "__main__":
    main()
