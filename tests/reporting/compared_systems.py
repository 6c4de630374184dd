"""A comparison as `nmt compare` makes it, without any scoring."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True)
class SystemScore:
    system: str
    value: float
    seeds: dict[str, float]
    interval: Interval
    spread: float | None = None
    metric: str = "bleu"
    name: str = "BLEU"
    signature: str = "nrefs:1|tok:13a"
    lower_is_better: bool = False


@dataclass(frozen=True)
class Result:
    first: str
    second: str
    second_is_better: bool | None
    verdict: str
    metric: str = "bleu"
    difference: float = 2.0
    p: float = 0.003


@dataclass(frozen=True)
class SliceComparison:
    kind: str
    name: str
    sentences: int
    scores: dict[str, dict[str, float]]


@dataclass(frozen=True)
class LineChange:
    line: int
    first_score: float
    second_score: float
    source: str | None
    first: str
    second: str
    references: list[str]


@dataclass(frozen=True)
class PairOfSystems:
    first: str
    second: str
    gained: list[LineChange]
    lost: list[LineChange]
    lines_by: str = "chrF2"


@dataclass(frozen=True)
class Ngram:
    words: str
    produced: int
    expected: float


@dataclass(frozen=True)
class Ngrams:
    too_often: list[Ngram]
    too_rarely: list[Ngram]


@dataclass(frozen=True)
class PairedTest:
    method: str = "bootstrap"
    resamples: int = 1000
    seed: int = 1


@dataclass(frozen=True)
class Comparison:
    systems: list[SystemScore]
    results: list[Result]
    slices: list[SliceComparison]
    pairs: list[PairOfSystems]
    ngrams: dict[str, Ngrams]
    test_set: str = "test"
    sentences: int = 1000
    test: PairedTest = field(default_factory=PairedTest)


def comparison(better: bool | None = True, text: str = "Ein Satz", lower_is_better: bool = False) -> Comparison:
    """Two systems, the second with two seeds."""
    scores = [
        SystemScore("first", 37.25, {"first": 37.25}, Interval(35.5, 38.75), lower_is_better=lower_is_better),
        SystemScore(
            "second", 39.5, {"s1": 39.25, "s2": 39.75}, Interval(38, 41), spread=0.35, lower_is_better=lower_is_better
        ),
    ]
    change = LineChange(7, 20.0, 80.0, text, f"{text} eins", f"{text} zwei", [f"{text} zwei"])
    return Comparison(
        systems=scores,
        results=[Result("first", "second", better, f"BLEU: what is to be said of {text}")],
        slices=[SliceComparison("length", "1-9 words", 12, {"bleu": {"first": 30.0, "second": 35.0}})],
        pairs=[PairOfSystems("first", "second", [change], [])],
        ngrams={"first": Ngrams([Ngram(text, 5, 2.5)], []), "second": Ngrams([], [Ngram("war", 1, 9)])},
    )
