"""Glossaries: which terms of a source text have which translations, all in raw text."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nmt_cli.errors import DataError
from nmt_cli.text.lines import read_lines
from nmt_cli.text.word_boundaries import Word, split_words

_MOST_MISTAKES = 10

Mode = Literal["soft", "hard"]
"""Whether terms are favoured, or required."""

Key = tuple[str, ...]
"""Words and signs, by which terms are compared."""


@dataclass(frozen=True)
class Entry:
    """A source term and all translations that the glossary gives for it, in its order."""

    source: str
    targets: tuple[str, ...]

    @property
    def any_case(self) -> bool:
        """Whether it means the term in any case: it is written in lower case throughout."""
        return self.source == self.source.lower()


@dataclass(frozen=True)
class Occurrence:
    """A place in a source text that an entry speaks of: characters `start` to `end`."""

    entry: Entry
    start: int
    end: int


class Glossary:
    """Finds terms as whole words: those longer first, and none within or across another."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        self._exact = _Index(entries, str)
        self._folded = _Index([entry for entry in entries if entry.any_case], str.casefold)

    def occurrences(self, text: str) -> list[Occurrence]:
        """In the order of the text. An entry written just so comes before one in lower case, which means any case."""
        found_words = split_words(text)
        both = [*self._exact.occurrences(found_words), *self._folded.occurrences(found_words)]
        taken = [False] * len(text)
        chosen = []
        for found in sorted(both, key=lambda each: each.start - each.end):  # a stable sort
            if not any(taken[found.start : found.end]):
                taken[found.start : found.end] = [True] * (found.end - found.start)
                chosen.append(found)
        return sorted(chosen, key=lambda each: each.start)


def read_glossary(path: Path) -> tuple[Entry, ...]:
    """Read lines `source term<TAB>target term`; blank lines and those that begin with `#` say nothing.

    A source term on several lines has several translations. DataError names all lines that are wrong.
    """
    found: dict[str, list[str]] = {}
    mistakes = []
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip() or line.startswith("#"):
            continue
        columns = [" ".join(column.split()) for column in line.split("\t")]
        if len(columns) != 2 or not all(map(split_words, columns)):
            mistakes.append(f"{path}:{number}: is not source term<TAB>target term, with one tab and two terms")
            continue
        targets = found.setdefault(columns[0], [])
        if columns[1] not in targets:
            targets.append(columns[1])
    if mistakes:
        more = len(mistakes) - _MOST_MISTAKES
        raise DataError("\n".join([*mistakes[:_MOST_MISTAKES], *([f"{path}: … and {more} more"] if more > 0 else [])]))
    return tuple(Entry(source, tuple(targets)) for source, targets in found.items())


def read_phrases(path: Path) -> tuple[str, ...]:
    """Read lines of a word or phrase each; blank lines and those that begin with `#` say nothing."""
    return tuple(line.strip() for line in read_lines(path) if line.strip() and not line.startswith("#"))


class _Index:
    """Entries by the words of their terms."""

    def __init__(self, entries: Sequence[Entry], fold: Callable[[str], str]) -> None:
        self._fold = fold
        self._entries: dict[Key, Entry] = {}
        self._lengths: dict[str, set[int]] = {}
        """How many words terms have, by their first."""
        for entry in entries:
            key = self._key(split_words(entry.source))
            self._entries.setdefault(key, entry)
            self._lengths.setdefault(key[0], set()).add(len(key))

    def occurrences(self, text: Sequence[Word]) -> Iterator[Occurrence]:
        """All, even those that overlap."""
        key = self._key(text)
        for start, first in enumerate(key):
            for length in self._lengths.get(first, ()):
                entry = self._entries.get(key[start : start + length])
                if entry is not None and start + length <= len(key):
                    yield Occurrence(entry, text[start].start, text[start + length - 1].end)

    def _key(self, text: Sequence[Word]) -> Key:
        return tuple(self._fold(word.text) for word in text)
