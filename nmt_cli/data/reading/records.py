"""Records of a corpus, decoded, and what of it is none: told in the first instance, or dropped and counted."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from nmt_cli.recipe.data import JsonlCorpus, LearnedJsonl, LearnedTsv, TsvCorpus

OnError = Literal["stop", "skip"]
Reason = Literal["not_utf8", "no_record", "no_language", "factors"]

FACTORS = "factors."
"""What the names of factors stand behind."""

EXAMPLES = 5
"""How many of the first that are dropped for a reason are shown."""


class NoRecordError(Exception):
    """A line is no record of its format; says why."""


@dataclass(frozen=True, slots=True)
class Example:
    """One that was dropped; what could not be decoded is U+FFFD, what could not be found is empty."""

    record: int
    source: str
    target: str


@dataclass(slots=True)
class Dropped:
    """What became of records that are none, by reason."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Example]] = field(default_factory=dict)

    def add(self, reason: Reason, example: Example) -> None:
        """Count one, and keep it if it is among the first."""
        self.counts[reason] += 1
        if len(shown := self.examples.setdefault(reason, [])) < EXAMPLES:
            shown.append(example)


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a chunk, each a place in all lists; texts as they stand in the files, not normalised.

    In formats that write a newline as something else, texts may hold newlines.
    """

    numbers: list[int]
    """Of each in its corpus, counted from 1."""
    sources: list[str]
    targets: list[str]
    extras: dict[str, list[str]] = field(default_factory=dict)
    """What the corpus has beside: `alignment`, `score`, `factors.NAME`."""
    dropped: Dropped = field(default_factory=Dropped)

    @property
    def factors(self) -> dict[str, list[str]]:
        """By name, a factor of the words of each source."""
        named = {key: texts for key, texts in self.extras.items() if key.startswith(FACTORS)}
        return {key.removeprefix(FACTORS): texts for key, texts in named.items()}


def columns_of(corpus: TsvCorpus | JsonlCorpus) -> dict[str, int | str]:
    """Where each part of a record stands in its line: number or name of a column, or name of a field."""
    columns: dict[str, int | str | None] = {"source": corpus.source, "target": corpus.target}
    if isinstance(corpus, LearnedTsv | LearnedJsonl):
        columns |= {"alignment": corpus.alignment, "score": corpus.score}
    columns |= {f"{FACTORS}{name}": place for name, place in corpus.factors.items()}
    return {key: place for key, place in columns.items() if place is not None}


def decoded_lines(column: bytes) -> list[str]:
    """The lines of a column, without their ends; UnicodeDecodeError if one is not UTF-8."""
    text = column.decode()
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    lines.pop()
    return lines


def raw_lines(column: bytes) -> list[bytes]:
    """The lines of a column, without their ends."""
    return [line.removesuffix(b"\r") for line in column.split(b"\n")[:-1]]


def raw_offset(column: bytes, row: int) -> int:
    """Where in a column a row begins, in bytes."""
    return sum(len(line) + 1 for line in column.split(b"\n", row)[:row])
