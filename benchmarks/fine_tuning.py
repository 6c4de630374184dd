"""Compare fine-tuning of all parameters with LoRA: `python benchmarks/fine_tuning.py BASE TASK FOLDER [KEY=VALUE …]`.

BASE is a model folder. TASK is a prefix of files: TASK.train.src, TASK.train.tgt, and the same for valid and test, one
word or sentence per line. Runs, and a table in Markdown with the scores of the test set, are written to FOLDER. Further
arguments change the recipe of LoRA. Each training has the same data, number of updates and schedule.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from safetensors import safe_open

RECIPE = """\
run: {folder}/full
data:
  source_language: und
  target_language: und
  prepared: {folder}/prepared
  train: {{new: {{source: {task}.train.src, target: {task}.train.tgt}}}}
  valid: {{new: {{source: {task}.valid.src, target: {task}.valid.tgt}}}}
  test: {{new: {{source: {task}.test.src, target: {task}.test.tgt}}}}
  filters: []
training:
  start_from: {base}
  optimizer: {{learning_rate: 2e-3}}
  schedule: {{type: linear, warmup: 50}}
  label_smoothing: 0
  update_tokens: 1000
  limits: {{updates: 600}}
  validation: {{every: 100, metric: chrf, patience: null}}
decoding: {{beam_size: 4, check: false}}
evaluation: {{metrics: [exact_match, chrf], resamples: null}}
"""
LORA = [
    "training.lora={rank: 1, alpha: 4, targets: [decoder.*, '*.self_attention.*', '*.inner']}",
    "training.optimizer.learning_rate=1e-2",
]
"""Rank 1 for all layers but one of each encoder layer: 2 % of the parameters of a very small model."""


def nmt(*arguments: str, text: str | None = None) -> str:
    """Run a command and return what it prints."""
    command = [sys.executable, "-m", "nmt_cli", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def num_parameters(path: Path) -> int:
    """Return the number of parameters in a safetensors file."""
    with safe_open(path, framework="pt") as file:
        return sum(file.get_tensor(name).numel() for name in list(file.keys()))


def main(base: str, task: str, folder: str, *lora: str) -> None:
    """Train both ways and print the table."""
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    recipe = str(path / "recipe.yaml")
    Path(recipe).write_text(RECIPE.format(base=base, task=task, folder=folder), encoding="utf-8")
    nmt("preprocess", recipe)
    options = ["--no-check", "--set", "decoding={beam_size: 4, check: false}"]
    hypotheses = path / "base.tgt"
    hypotheses.write_text(nmt("translate", base, *options, text=Path(f"{task}.test.src").read_text()), "utf-8")
    metrics = "evaluation={metrics: [exact_match, chrf], resamples: null}"
    files = ["--hypothesis", str(hypotheses), "--reference", f"{task}.test.tgt"]
    scores: dict[str, Any] = {"base": json.loads(nmt("evaluate", *files, "--set", metrics, "--json"))}
    for name, changes in {"full": [], "lora": [*LORA, *lora]}.items():
        settings = [part for change in changes for part in ("--set", change)]
        run = str(path / name) if name == "full" else str(path / "-".join([name, *lora]).replace("/", "_"))
        nmt("train", recipe, "--run", run, *settings)
        scores[name] = json.loads(nmt("evaluate", run, "--json"))["new"]["scores"]
    total = num_parameters(Path(base) / "model.safetensors")
    trained = {"base": 0, "full": total, "lora": num_parameters(Path(run) / "adapter" / "adapter.safetensors")}
    print("| | trained parameters | exact_match | chrf | of the gain in chrf |\n|---|---|---|---|---|")
    values = {
        name: {key: float(each[key]["score"]) for key in ("exact_match", "chrf")} for name, each in scores.items()
    }
    gain = values["full"]["chrf"] - values["base"]["chrf"]
    for name, each in values.items():
        fraction = f"{(each['chrf'] - values['base']['chrf']) / gain:.0%}"
        share = f"{trained[name]:,} ({trained[name] / total:.1%})"
        print(f"| {name} | {share} | {each['exact_match']:.1f} | {each['chrf']:.1f} | {fraction} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
