"""Training is reproducible: a short training of each demo recipe gives the recorded parameters, bit for bit.

To record demo_parameters.json after a change that is meant to change training, run this file with PYTHONPATH set to the
checkout.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
RECORDED = Path(__file__).with_name("demo_parameters.json")
RECIPES = ("number_words_transformer", "number_words_rnn")
UPDATES = 12
SETTINGS = (f"training.limits.updates={UPDATES}", "training.schedule.warmup=4", f"training.validation.every={UPDATES}")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_demo_training_gives_the_recorded_parameters(recipe: str, tmp_path: Path) -> None:
    recorded = json.loads(RECORDED.read_bytes())
    expected = recorded["parameters"][recipe]
    found = train_demo(recipe, tmp_path)
    assert found.keys() == expected.keys()
    for name, facts in found.items():
        for statistic in ("mean", "root_mean_square"):
            assert facts[statistic] == pytest.approx(expected[name][statistic], abs=1e-4), name
    if recorded["environment"] != environment():
        pytest.skip(f"bits were recorded with {recorded['environment']}; only statistics were compared")
    assert {name for name in found if found[name]["sha256"] != expected[name]["sha256"]} == set()


def train_demo(recipe: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Prepare and train a demo recipe on one thread; return digest and statistics of each parameter by name."""
    sizes = ("--train", "3000", "--valid", "50", "--test", "50")
    run(folder, str(ROOT / "data_scripts" / "number_words.py"), *sizes)
    path = str(ROOT / "recipes" / f"{recipe}.yaml")
    run(folder, "-m", "nmt_cli", "preprocess", path, "--quiet")
    overrides = [word for setting in SETTINGS for word in ("--set", setting)]
    run(folder, "-m", "nmt_cli", "train", path, "--quiet", *overrides)
    tensors = load_file(folder / "runs" / recipe / "checkpoints" / f"step_{UPDATES}" / "model.safetensors")
    return {
        name: {
            "sha256": hashlib.sha256(tensor.numpy().tobytes()).hexdigest(),
            "mean": float(tensor.double().mean()),
            "root_mean_square": float(tensor.double().square().mean().sqrt()),
        }
        for name, tensor in sorted(tensors.items())
    }


def run(folder: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, *arguments], cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, timeout=300
    )


def environment() -> dict[str, str]:
    """Return what the rounding of sums depends on."""
    processor = Path("/proc/cpuinfo")
    lines = processor.read_text().splitlines() if processor.exists() else []
    vendor = next(
        (line.partition(": ")[2] for line in lines if line.startswith("vendor_id")), ""
    )  # MKL looks at it, too
    capability = torch.backends.cpu.get_cpu_capability()
    return {"torch": torch.__version__, "cpu_capability": capability, "vendor": vendor}


def record() -> None:
    """Write the parameters of the code that PYTHONPATH names."""
    with tempfile.TemporaryDirectory() as folder:
        parameters = {recipe: train_demo(recipe, Path(folder)) for recipe in RECIPES}
    content = {"environment": environment(), "parameters": parameters}
    RECORDED.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    record()
