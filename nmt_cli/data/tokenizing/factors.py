"""Values of source factors, such as parts of speech, and their numbers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FACTORS = "factors"
"""Name of the source column."""

MOST_VALUES = 2**16 - 1
"""Of a factor; numbers are stored in two bytes."""


class Factors:
    """What is known of each factor, by name: value number n is the n-th of its list.

    0 is the number of none: of tokens that belong to no word, and of values that are not known.
    """

    def __init__(self, values: Mapping[str, Sequence[str]] | None = None) -> None:
        self.values = {name: list(known) for name, known in (values or {}).items()}
        self._numbers = [{value: number for number, value in enumerate(each, 1)} for each in self.values.values()]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Factors) and [*self.values.items()] == [*other.values.items()]

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def learn(cls, counts: Mapping[str, Mapping[str, int]]) -> "Factors":
        """From how often each value of each factor was seen; where there are too many, the rarest are not known."""
        return cls(
            {name: sorted(seen, key=lambda value: (-seen[value], value))[:MOST_VALUES] for name, seen in counts.items()}
        )

    @property
    def names(self) -> list[str]:
        return list(self.values)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many numbers each factor has, that of none included."""
        return tuple(len(known) + 1 for known in self.values.values())

    def __len__(self) -> int:
        return len(self.values)

    def numbers(self, values: Sequence[Iterable[str]]) -> list[list[int]]:
        """The numbers of values, given for each factor in turn."""
        return [[known.get(value, 0) for value in row] for known, row in zip(self._numbers, values, strict=True)]


def are_factors(values: Any) -> bool:
    """Whether a saved tokenizer's factors are lists of different values by name."""
    return isinstance(values, dict) and all(
        isinstance(known, list)
        and all(isinstance(value, str) for value in known)
        and len(set(known)) == len(known) <= MOST_VALUES
        for known in values.values()
    )
