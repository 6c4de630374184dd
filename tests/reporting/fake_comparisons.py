"""A comparison as `nmt compare` makes it, without any scoring."""

from nmt_cli.evaluation.breakdown.slices import LineChange
from nmt_cli.evaluation.breakdown.words import NgramCount, NgramDifferences
from nmt_cli.evaluation.metrics.metric import ConfidenceInterval
from nmt_cli.evaluation.significance import PairedTest
from nmt_cli.evaluation.system_comparison import Comparison, PairwiseResult, SliceComparison, SystemPair, SystemScore


def make_comparison(better: bool | None = True, text: str = "Ein Satz", lower_is_better: bool = False) -> Comparison:
    """Two systems, the second with two seeds."""

    def score(system: str, runs: dict[str, float], low: float, high: float, stdev: float | None) -> SystemScore:
        value = sum(runs.values()) / len(runs)
        interval = ConfidenceInterval(value, low, high, 1000, 1)
        signature = "nrefs:1|tok:13a"
        return SystemScore(system, "bleu", "BLEU", signature, lower_is_better, value, runs, stdev, interval)

    change = LineChange(7, 20.0, 80.0, text, f"{text} eins", f"{text} zwei", [f"{text} zwei"])
    return Comparison(
        test_set="test",
        sentences=1000,
        test=PairedTest("bootstrap", 1000, 1),
        scores=[
            score("first", {"first": 37.25}, 35.5, 38.75, None),
            score("second", {"s1": 39.25, "s2": 39.75}, 38, 41, 0.35),
        ],
        results=[PairwiseResult("bleu", "first", "second", 2.0, 0.003, None, better, f"BLEU: verdict on {text}")],
        slices=[SliceComparison("length", "1-9 words", 12, {"bleu": {"first": 30.0, "second": 35.0}})],
        pairs=[SystemPair("first", "second", "chrF2", [change], [])],
        ngrams={
            "first": NgramDifferences([NgramCount(text, 5, 2.5, 2.5)], []),
            "second": NgramDifferences([], [NgramCount("war", 1, 9, -8)]),
        },
    )
