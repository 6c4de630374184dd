"""Compare fine-tuning of all parameters with LoRA: `python benchmarks/fine_tuning.py BASE TASK OLD FOLDER RATE RANK`.

BASE is a model folder. TASK is a prefix of files: TASK.train.src, TASK.train.tgt, and the same for valid and test, one
word or sentence per line. OLD.valid.src and OLD.valid.tgt are of the domain of BASE and show what it forgets. Runs are
written to FOLDER; a table in Markdown is printed. Both trainings have the same data, number of updates and schedule.
RATE is the learning rate of full fine-tuning; that of LoRA is ten times higher, its alpha twice its RANK.
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
  valid:
    new: {{source: {task}.valid.src, target: {task}.valid.tgt}}
    old: {{source: {old}.valid.src, target: {old}.valid.tgt}}
  test: {{new: {{source: {task}.test.src, target: {task}.test.tgt}}}}
  filters: []
training:
  start_from: {base}
  optimizer: {{learning_rate: {rate}}}
  schedule: {{type: linear, warmup: 50}}
  label_smoothing: 0
  update_tokens: 500
  limits: {{updates: 400}}
  validation: {{every: 400, metric: chrf, patience: null}}
decoding: {{beam_size: 1, check: false}}
evaluation: {{metrics: [exact_match, chrf], resamples: null}}
"""
NO_DROPOUT = "model={architecture: transformer, dropout: 0, attention_dropout: 0, activation_dropout: 0}"


def nmt(*arguments: str, text: str | None = None) -> str:
    """Run a command and return what it prints."""
    command = [sys.executable, "-m", "nmt_cli", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def num_parameters(path: Path) -> int:
    """Return the number of parameters in a safetensors file."""
    with safe_open(path, framework="pt") as file:
        return sum(file.get_tensor(name).numel() for name in list(file.keys()))


def main(base: str, task: str, old: str, folder: str, rate: str, rank: str) -> None:
    """Train both ways and print the table."""
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    recipe = str(path / "recipe.yaml")
    text = RECIPE.format(base=base, task=task, old=old, folder=folder, rate=rate)
    Path(recipe).write_text(text, encoding="utf-8")
    lora = [
        f"training.lora={{rank: {rank}, alpha: {2 * int(rank)}}}",
        f"training.optimizer.learning_rate={10 * float(rate)}",
        NO_DROPOUT,
    ]
    nmt("preprocess", recipe)
    options = ["--no-check", "--set", "decoding={beam_size: 1, check: false}"]
    hypotheses = path / "base.tgt"
    hypotheses.write_text(nmt("translate", base, *options, text=Path(f"{task}.test.src").read_text()), "utf-8")
    metrics = "evaluation={metrics: [exact_match, chrf], resamples: null}"
    files = ["--hypothesis", str(hypotheses), "--reference", f"{task}.test.tgt"]
    scores: dict[str, Any] = {"base": json.loads(nmt("evaluate", *files, "--set", metrics, "--json"))}
    kept = dict[str, float]()
    for name, changes in {"full": [], "lora": lora}.items():
        settings = [part for change in changes for part in ("--set", change)]
        nmt("train", recipe, "--run", str(path / name), *settings)
        scores[name] = json.loads(nmt("evaluate", str(path / name), "--json"))["new"]["scores"]
        summary = json.loads((path / name / "run.json").read_text("utf-8"))
        kept["base"], kept[name] = (
            each["old"]["chrf"] for each in (summary["start_scores"], summary["published"]["scores"])
        )
    total = num_parameters(Path(base) / "model.safetensors")
    trained = {"base": 0, "full": total, "lora": num_parameters(path / "lora" / "adapter" / "adapter.safetensors")}
    print("| | trained parameters | exact match | chrF | of the gain in chrF | chrF on the old domain |")
    print("|---|---|---|---|---|---|")
    values = {name: [float(metric["score"]) for metric in each] for name, each in scores.items()}
    base_score, full_score = values["base"][1], values["full"][1]
    for name, (exact_match, chrf) in values.items():
        number = f"{trained[name]:,} ({trained[name] / total:.1%})"
        gain = (chrf - base_score) / (full_score - base_score)
        print(f"| {name} | {number} | {exact_match:.1f} | {chrf:.1f} | {gain:.0%} | {kept[name]:.1f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
