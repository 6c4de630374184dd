"""Measure the time of a comparison: two systems, 1,000 sentences, 1,000 resamples; BLEU, chrF and TER.

    taskset -c 0 python benchmarks/compare_speed.py [REFERENCES [A B]]

Prints a Markdown table. All files are plain or gzipped text. The default references are Multi30k's German test set.
Without A and B, the systems are the references with words dropped and swapped, one slightly more than the other.
"""

import random
import sys
import time
from pathlib import Path

from nmt_cli.devices import describe, pick_device
from nmt_cli.evaluation.metrics import build_metrics, compute_statistics
from nmt_cli.evaluation.metrics.metric import EvaluationTexts
from nmt_cli.evaluation.significance import SIGNIFICANCE_TESTS, PairedTest
from nmt_cli.evaluation.system_comparison import ComparedTestSet, SystemOutput, compare
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.text.lines import read_lines

MULTI30K = Path(__file__).parents[2] / "shared/data/multi30k/test_2016_flickr.de.gz"
SENTENCES, RESAMPLES = 1000, 1000
SETTINGS = Evaluation(metrics=["bleu", "chrf", "ter"], resamples=RESAMPLES)


def perturb(lines: list[str], rate: float, seed: int) -> list[str]:
    """Drop words and swap neighbours at this rate."""
    rng, found = random.Random(seed), []
    for line in lines:
        words = [word for word in line.split() if rng.random() >= rate]
        for index in range(len(words) - 1):
            if rng.random() < rate:
                words[index : index + 2] = reversed(words[index : index + 2])
        found.append(" ".join(words))
    return found


def seconds(references: list[str], systems: list[SystemOutput]) -> dict[str, float]:
    """Processor time of each part of a comparison."""
    times = {}
    for key in SETTINGS.metrics:
        metrics = build_metrics(SETTINGS.model_copy(update={"metrics": [key]}))
        started = time.process_time()
        for system in systems:
            compute_statistics(EvaluationTexts(system.hypotheses[0], [references]), metrics)
        times[f"statistics of {key}, both systems"] = time.process_time() - started
    for method in SIGNIFICANCE_TESTS:
        started = time.process_time()
        compare(systems, ComparedTestSet("test", [references]), SETTINGS, PairedTest(method, RESAMPLES, SETTINGS.seed))
        times[f"complete comparison, {method}"] = time.process_time() - started
    return times


def main() -> None:
    """Measure and print."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else MULTI30K
    references = list(read_lines(path))[:SENTENCES]
    hypotheses = [list(read_lines(Path(name)))[:SENTENCES] for name in sys.argv[2:4]]
    hypotheses = hypotheses or [perturb(references, rate, 1) for rate in (0.2, 0.19)]
    systems = [SystemOutput(name, (name,), (lines,)) for name, lines in zip("AB", hypotheses, strict=True)]
    print(f"{len(references):,} sentences of {path.name}, {RESAMPLES:,} resamples; {describe(pick_device())}\n")
    print("| part | seconds of one core |\n|:--|--:|")
    for part, time_ in seconds(references, systems).items():
        print(f"| {part} | {time_:.2f} |")


if __name__ == "__main__":
    main()
