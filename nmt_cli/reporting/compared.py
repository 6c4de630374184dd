"""What the page of a comparison asks of it; whoever compares has values of these forms."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class Interval(Protocol):
    """Where a score would lie, 19 times out of 20, for other sentences of the same kind."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


class SystemScore(Protocol):
    """One system by one metric."""

    @property
    def system(self) -> str: ...
    @property
    def metric(self) -> str:
        """Its key, such as bleu."""
        ...

    @property
    def name(self) -> str:
        """Its name to people, such as BLEU."""
        ...

    @property
    def signature(self) -> str: ...
    @property
    def lower_is_better(self) -> bool: ...
    @property
    def value(self) -> float: ...
    @property
    def seeds(self) -> Mapping[str, float]:
        """The score of each training."""
        ...

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds."""
        ...

    @property
    def interval(self) -> Interval | None:
        """None if there is but one sentence."""
        ...


class Result(Protocol):
    """Is a system better than another, by one metric?"""

    @property
    def metric(self) -> str: ...
    @property
    def first(self) -> str: ...
    @property
    def second(self) -> str: ...
    @property
    def difference(self) -> float: ...
    @property
    def p(self) -> float: ...
    @property
    def second_is_better(self) -> bool | None:
        """None if no difference can be shown."""
        ...

    @property
    def verdict(self) -> str:
        """The same in a sentence."""
        ...


class SliceComparison(Protocol):
    """Sentences of one kind."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def sentences(self) -> int: ...
    @property
    def scores(self) -> Mapping[str, Mapping[str, float]]:
        """By the metric's key, each system's score."""
        ...


class LineChange(Protocol):
    """One line as two systems translate it."""

    @property
    def line(self) -> int:
        """Counted from 1."""
        ...

    @property
    def first_score(self) -> float: ...
    @property
    def second_score(self) -> float: ...
    @property
    def source(self) -> str | None: ...
    @property
    def first(self) -> str: ...
    @property
    def second(self) -> str: ...
    @property
    def references(self) -> Sequence[str]: ...


class PairOfSystems(Protocol):
    """Where the second of two systems differs from the first."""

    @property
    def first(self) -> str: ...
    @property
    def second(self) -> str: ...
    @property
    def lines_by(self) -> str:
        """Name of the metric by which lines are put in order."""
        ...

    @property
    def gained(self) -> Sequence[LineChange]: ...
    @property
    def lost(self) -> Sequence[LineChange]: ...


class Ngram(Protocol):
    """A phrase, and how often it stands in translations and in references."""

    @property
    def words(self) -> str: ...
    @property
    def produced(self) -> int: ...
    @property
    def expected(self) -> float: ...


class Ngrams(Protocol):
    """Phrases that are furthest from what the references hold."""

    @property
    def too_often(self) -> Sequence[Ngram]: ...
    @property
    def too_rarely(self) -> Sequence[Ngram]: ...


class PairedTest(Protocol):
    """How systems were tested."""

    @property
    def method(self) -> str:
        """bootstrap or randomisation."""
        ...

    @property
    def resamples(self) -> int: ...
    @property
    def seed(self) -> int: ...


class Comparison(Protocol):
    """All that is told of several systems on one test set."""

    @property
    def test_set(self) -> str: ...
    @property
    def sentences(self) -> int: ...
    @property
    def test(self) -> PairedTest: ...
    @property
    def systems(self) -> Sequence[SystemScore]: ...
    @property
    def results(self) -> Sequence[Result]: ...
    @property
    def slices(self) -> Sequence[SliceComparison]: ...
    @property
    def pairs(self) -> Sequence[PairOfSystems]: ...
    @property
    def ngrams(self) -> Mapping[str, Ngrams]:
        """Of each system."""
        ...
