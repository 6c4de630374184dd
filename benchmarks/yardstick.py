"""Measure the matrix-product speed of the machine and count model parameters, in a process of its own.

    python benchmarks/yardstick.py SECONDS RECIPE...

prints JSON: the speed of a matrix product in fp32 and bf16, and the multiplying parameters of each recipe's model.
"""

import json
import sys
import time
from pathlib import Path

import torch
from torch import nn

from nmt_cli.devices import describe, pick_device
from nmt_cli.models import build
from nmt_cli.models.contract import VocabularySpec
from nmt_cli.models.kernels import linear
from nmt_cli.recipe.loading import load_recipe


def matmul_speed(device: torch.device, dtype: torch.dtype, seconds: float) -> dict[str, float]:
    """Return floating-point operations per second, and per second of processor time."""
    size = 8192 if device.type == "cuda" else 1024
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    for _ in range(2):
        linear(one, other)
    _wait(device)
    started, processor, products = time.monotonic(), time.process_time(), 0
    while time.monotonic() - started < seconds:
        linear(one, other)
        products += 1
        if products % 10 == 0:
            _wait(device)
    _wait(device)
    operations = 2.0 * size**3 * products
    return {
        "wall": operations / (time.monotonic() - started),
        "cpu": operations / (time.process_time() - processor),
    }


def weights(recipe: Path) -> int:
    """Count the parameters used in matrix products: tied ones once, embeddings that are only looked up not at all."""
    settings = load_recipe(recipe)
    size = settings.tokenizer.vocabulary_size
    with torch.device("meta"):
        model = build(settings.model, VocabularySpec(size, size))
    tables = [module.weight.numel() for module in model.modules() if isinstance(module, nn.Embedding)]
    lookup_only = {"all": 0, "decoder": tables[0], "input": tables[0], "none": sum(tables)}[
        settings.model.tied_embeddings
    ]
    return sum(weight.numel() for weight in model.parameters()) - lookup_only


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    seconds, recipes = float(sys.argv[1]), [Path(path) for path in sys.argv[2:]]
    device = pick_device()
    found = {
        "device": device.type,
        "description": f"{describe(device)}, torch {torch.__version__}",
        "products": {
            name: matmul_speed(device, dtype, seconds)
            for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))
        },
        "weights": [weights(recipe) for recipe in recipes],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
