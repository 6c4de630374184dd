"""Compare the README's recipe, unchanged, with recipes set by hand, on corpora of 300, 6,000 and 160,000 pairs.

    python benchmarks/default_recipes.py --multi30k FOLDER --tatoeba FOLDER
    python benchmarks/default_recipes.py … --sizes 300,6000 --recipes hand --minutes 3

FOLDER has train.en.gz, train.de.gz and the validation set (val.* or valid.*). The two smaller corpora are the first
pairs of Multi30k, the largest is the first 160,000 of Tatoeba; the first 200 pairs of the validation set choose the
checkpoint and are what is scored, with beam 5. All recipes of a corpus train for the same --minutes of processor time
on one thread, so that other programs on the machine do not matter. A recipe set by hand is the README's with one of
two vocabulary sizes, one of three model sizes, and values for update size, warm-up, dropout and validation that suit
the corpus. The constant baseline is the training target that scores best if it is the translation of every line.

One recipe runs at a time. Each result is appended to FOLDER/results.jsonl, and a recipe with a result is not run
again. At the end, all results are printed as a Markdown table.
"""

import argparse
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from nmt_cli.evaluation.metrics import score
from nmt_cli.recipe.evaluation import Evaluation
from peers.child import REPOSITORY

_VALIDATION_PAIRS = 200
_TRAINING = "train"
_MAX_CANDIDATES = 300
"""Training targets that are tried as the constant translation, evenly spread."""
_NMT = "import sys, time; time.monotonic = time.perf_counter = time.process_time; from nmt_cli.cli import main; main()"
"""nmt, with processor time as its clock."""
_WIDTHS: dict[str, dict[str, Any]] = {
    "tiny": {"preset": "tiny"},
    "small": {"preset": "small"},
    "medium": {"preset": "small", "width": 384, "feed_forward": 1536, "heads": 6},
}
_BY_HAND: dict[int, dict[str, Any]] = {
    300: {"vocabularies": (450, 800), "dropout": 0.3, "update_tokens": 500, "warmup": 100, "every": 200},
    6_000: {"vocabularies": (1000, 2000), "dropout": 0.3, "update_tokens": 1000, "warmup": 100, "every": 150},
    160_000: {"vocabularies": (4000, 8000), "dropout": 0.1, "update_tokens": 2000, "warmup": 150, "every": 100},
}
"""Settings by number of pairs."""


def main() -> None:
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    results = options.folder / "results.jsonl"
    for num_pairs in options.sizes:
        corpus = options.tatoeba if num_pairs > 29_000 else options.multi30k
        texts = _write_corpus(corpus, num_pairs, options.folder)
        for name, settings in _recipes(num_pairs):
            key = {"pairs": num_pairs, "recipe": name, "minutes": options.minutes}
            if name.partition(" ")[0] not in options.recipes or key in ({k: r[k] for k in key} for r in _read(results)):
                continue
            found = _constant(texts) if name == "constant" else _run(settings, options, num_pairs, name)
            with results.open("a") as file:
                file.write(json.dumps({**key, **found}) + "\n")
    print(_table(_read(results)))


def _recipes(num_pairs: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the names and settings of all recipes for a corpus."""
    yield "constant", {}
    hand = _BY_HAND[num_pairs]
    training = {
        "update_tokens": hand["update_tokens"],
        "schedule": {"warmup": hand["warmup"]},
        "validation": {"every": hand["every"], "metric": "chrf", "patience": None},
        "logging": {"every": 50},
    }
    for vocabulary in hand["vocabularies"]:
        for size, model in _WIDTHS.items():
            settings = {
                "tokenizer": {"vocabulary_size": vocabulary},
                "model": {**model, "dropout": hand["dropout"]},
                "training": training,
            }
            yield f"hand {size} {vocabulary}", settings
    yield "default", {}


def _run(settings: dict[str, Any], options: argparse.Namespace, num_pairs: int, name: str) -> dict[str, Any]:
    """Train a recipe and return its score on the validation set."""
    folder = options.folder / f"{num_pairs}-{name.replace(' ', '-')}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    recipe = yaml.safe_load(_readme_recipe())
    sides = {
        part: {side: str(_text(options.folder, num_pairs, part, side)) for side in ("source", "target")}
        for part in (_TRAINING, "valid")
    }
    recipe["run"], recipe["data"]["prepared"] = str(folder / "run"), str(folder / "prepared")
    recipe["data"] |= {
        _TRAINING: {"corpus": sides[_TRAINING]},
        "valid": {"dev": sides["valid"]},
        "test": {"dev": dict(sides["valid"])},
    }
    recipe["evaluation"] = {"metrics": ["bleu", "chrf"]}
    for section, values in settings.items():
        recipe[section] = {**recipe.get(section, {}), **values}
    recipe.setdefault("training", {})["limits"] = {"minutes": options.minutes}
    path = folder / "recipe.yaml"
    path.write_text(yaml.dump(recipe, sort_keys=False))
    for command in ("preprocess", "train", "evaluate"):
        _nmt(folder, command, str(path))
    scores = json.loads((folder / "run/evaluation/dev/scores.json").read_text())
    chrf = next(entry["score"] for entry in scores["scores"] if entry["name"] == "chrF2")
    summary = json.loads((folder / "run/run.json").read_text())
    shutil.rmtree(folder / "run/checkpoints")
    return {"chrf": chrf, "updates": summary["update"], "seconds": summary["seconds"]}


def _nmt(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("ab") as log:
        command = ["nice", "-n", "3", sys.executable, "-c", _NMT, *arguments]
        subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=log, stderr=log, check=True)


def _readme_recipe() -> str:
    found = re.search(r"```yaml\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def _text(folder: Path, num_pairs: int, part: str, side: str) -> Path:
    return folder / f"{num_pairs}.{part}.{side}"


def _write_corpus(corpus: Path, num_pairs: int, folder: Path) -> dict[str, list[str]]:
    """Write the text files of a corpus; return the targets by part."""
    targets = {}
    for part, names, size in ((_TRAINING, ("train",), num_pairs), ("valid", ("val", "valid"), _VALIDATION_PAIRS)):
        for side, language in (("source", "en"), ("target", "de")):
            path = next(path for name in names if (path := corpus / f"{name}.{language}.gz").exists())
            with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
                lines = list(islice(file, size))
            _text(folder, num_pairs, part, side).write_text("".join(lines), encoding="utf-8")
        targets[part] = [line.rstrip("\n") for line in lines]
    return targets


def _constant(targets: dict[str, list[str]]) -> dict[str, Any]:
    """Return the score of the best training target as the translation of every line."""
    candidates = targets[_TRAINING][:: -(-len(targets[_TRAINING]) // _MAX_CANDIDATES)]
    references, settings = [targets["valid"]], Evaluation(metrics=["chrf"])
    values = [next(iter(score([line] * len(references[0]), references, settings))).value for line in candidates]
    return {"chrf": max(values), "line": candidates[values.index(max(values))]}


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _table(results: list[dict[str, Any]]) -> str:
    rows = ["| pairs | recipe | updates | chrF |", "|--:|:--|--:|--:|"]
    for each in sorted(results, key=lambda result: (result["pairs"], -result["chrf"])):
        rows.append(f"| {each['pairs']:,} | {each['recipe']} | {each.get('updates', 0):,} | {each['chrf']:.1f} |")
    return "\n".join(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--multi30k", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--tatoeba", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--folder", type=Path, default=Path("runs/default_recipes"), help="folder for texts and runs")
    parser.add_argument("--minutes", type=float, default=3.0, help="training.limits.minutes, of processor time")
    parser.add_argument("--sizes", type=_sizes, default=list(_BY_HAND), help="numbers of pairs, separated by commas")
    parser.add_argument("--recipes", default="constant,hand,default", help="kinds of recipes, separated by commas")
    options = parser.parse_args()
    options.recipes, options.folder = options.recipes.split(","), options.folder.resolve()
    return options


def _sizes(text: str) -> list[int]:
    return [int(size) for size in text.split(",")]


if __name__ == "__main__":
    main()
