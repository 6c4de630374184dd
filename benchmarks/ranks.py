"""Compare final validation losses with one rank and with two, over several seeds and with dropout.

    python benchmarks/ranks.py RECIPE --updates 200 --seeds 1,2,3,4

RECIPE is prepared already. Without dropout, losses differ only by rounding, which tests hold. Dropout is drawn for each
rank's part of an update, so that with dropout a run on two ranks is like a run with another seed: the difference of the
means should not be larger than the spread over seeds explains.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

_RANKS = (1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[1, 2, 3, 4])
    parser.add_argument("--folder", type=Path, default=Path("runs/ranks"))
    options = parser.parse_args()
    losses = {
        ranks: [_final_loss(options.recipe, options.folder, options.updates, ranks, seed) for seed in options.seeds]
        for ranks in _RANKS
    }
    print("\n| ranks | loss of each seed | mean | deviation |\n|--:|:--|--:|--:|")
    for ranks, found in losses.items():
        each = ", ".join(f"{loss:.4f}" for loss in found)
        print(f"| {ranks} | {each} | {statistics.mean(found):.4f} | {statistics.stdev(found):.4f} |")
    one, two = (losses[ranks] for ranks in _RANKS)
    difference = statistics.mean(two) - statistics.mean(one)
    error = math.sqrt((statistics.variance(one) + statistics.variance(two)) / len(one))
    print(f"\ndifference of the means {difference:+.4f}, standard error {error:.4f}")


def _final_loss(recipe: Path, folder: Path, updates: int, ranks: int, seed: int) -> float:
    """Return the loss of the last validation of a new run."""
    run = folder / f"ranks_{ranks}_seed_{seed}"
    settings = [f"training.limits.updates={updates}", f"training.validation.every={updates}", f"seed={seed}"]
    options = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-P", "-m", "nmt_cli", "train", str(recipe), "--run", str(run), "--nproc", str(ranks)]
    subprocess.run([*command, *options], check=True)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return float([record for record in records if record["kind"] == "valid"][-1]["loss"])


if __name__ == "__main__":
    main()
