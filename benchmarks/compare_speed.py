"""How long a paired test takes: two systems, 1,000 sentences, 1,000 resamples, all of BLEU, chrF and TER.

    taskset -c 0 python benchmarks/compare_speed.py [REFERENCES [A B]]

prints a table in Markdown. All are lines of plain text or gzip. References are Multi30k's German test set if none are
given; without A and B, the two systems are these with words lost and swapped, one a little more than the other.
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


def disturbed(lines: list[str], rate: float, seed: int) -> list[str]:
    """Lines with this share of words lost, and as large a share of neighbours swapped."""
    chance, found = random.Random(seed), []
    for line in lines:
        words = [word for word in line.split() if chance.random() >= rate]
        for place in range(len(words) - 1):
            if chance.random() < rate:
                words[place : place + 2] = reversed(words[place : place + 2])
        found.append(" ".join(words))
    return found


def seconds(references: list[str], systems: list[SystemOutput]) -> dict[str, float]:
    """Processor time of each part, by its name."""
    took = {}
    for key in SETTINGS.metrics:
        metrics = build_metrics(SETTINGS.model_copy(update={"metrics": [key]}))
        started = time.process_time()
        for system in systems:
            compute_statistics(EvaluationTexts(system.hypotheses[0], [references]), metrics)
        took[f"statistics of {key}, both systems"] = time.process_time() - started
    for method in SIGNIFICANCE_TESTS:
        started = time.process_time()
        compare(systems, ComparedTestSet("test", [references]), SETTINGS, PairedTest(method, RESAMPLES, SETTINGS.seed))
        took[f"whole comparison, {method}"] = time.process_time() - started
    return took


def main() -> None:
    """Measure and print."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else MULTI30K
    references = list(read_lines(path))[:SENTENCES]
    hypotheses = [list(read_lines(Path(name)))[:SENTENCES] for name in sys.argv[2:4]]
    hypotheses = hypotheses or [disturbed(references, rate, 1) for rate in (0.2, 0.19)]
    systems = [SystemOutput(name, (name,), (lines,)) for name, lines in zip("AB", hypotheses, strict=True)]
    print(f"{len(references):,} sentences of {path.name}, {RESAMPLES:,} resamples; {describe(pick_device())}\n")
    print("| part | seconds of one core |\n|:--|--:|")
    for part, took in seconds(references, systems).items():
        print(f"| {part} | {took:.2f} |")


if __name__ == "__main__":
    main()
