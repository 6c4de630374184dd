"""Glossaries: source terms and their translations, as raw text."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nmt_cli.errors import DataError
from nmt_cli.text.lines import read_lines
from nmt_cli.text.word_boundaries import Word, split_words

_MAX_ERRORS = 10

TermMode = Literal["soft", "hard"]
"""Whether terms get a bonus or are required."""

_Key = tuple[str, ...]
"""The words and punctuation marks of a term, by which terms are compared."""


@dataclass(frozen=True)
class GlossaryEntry:
    """A source term and its translations, in the order of the glossary."""

    source: str
    targets: tuple[str, ...]

    @property
    def ignores_case(self) -> bool:
        """Whether it matches the term in any case, because it is written in lower case."""
        return self.source == self.source.lower()


@dataclass(frozen=True)
class TermOccurrence:
    """An occurrence of an entry's source term: characters `start` to `end` of a text."""

    entry: GlossaryEntry
    start: int
    end: int


class Glossary:
    """Finds terms as whole words. Longer terms come first, and terms do not overlap."""

    def __init__(self, entries: Sequence[GlossaryEntry]) -> None:
        self.entries = tuple(entries)
        self._exact = _TermIndex(entries, str)
        self._folded = _TermIndex([entry for entry in entries if entry.ignores_case], str.casefold)

    def occurrences(self, text: str) -> list[TermOccurrence]:
        """Return the terms in a text, in order. An entry with the exact case precedes one that ignores case."""
        found_words = split_words(text)
        candidates = [*self._exact.occurrences(found_words), *self._folded.occurrences(found_words)]
        is_covered = [False] * len(text)
        chosen = []
        # The longest first; of equally long ones, as the sort is stable, those with the exact case.
        for found in sorted(candidates, key=lambda each: each.start - each.end):
            if not any(is_covered[found.start : found.end]):
                is_covered[found.start : found.end] = [True] * (found.end - found.start)
                chosen.append(found)
        return sorted(chosen, key=lambda each: each.start)


def find_terms(terms: Iterable[str], text: str) -> list[str]:
    """Return the terms that occur in a text, as often as they do, in order."""
    glossary = Glossary([GlossaryEntry(term, ()) for term in dict.fromkeys(terms)])
    return [each.entry.source for each in glossary.occurrences(text)]


def read_glossary(path: Path) -> tuple[GlossaryEntry, ...]:
    """Read lines of the form `source term<TAB>target term`. Blank lines and lines that begin with `#` are skipped.

    A source term on several lines, or with target terms separated by `|`, has several translations.

    Raises:
        DataError: Lines are malformed; the message lists them.
    """
    found: dict[str, list[str]] = {}
    errors = []
    for line_number, line in enumerate(read_lines(path), 1):
        if not line.strip() or line.startswith("#"):
            continue
        columns = [" ".join(column.split()) for column in line.split("\t")]
        alternatives = [each.strip() for each in columns[-1].split("|")]
        if len(columns) != 2 or not all(map(split_words, (columns[0], *alternatives))):
            errors.append(f"{path}:{line_number}: expected source term<TAB>target term, with one tab and two terms")
            continue
        targets = found.setdefault(columns[0], [])
        targets += [each for each in dict.fromkeys(alternatives) if each not in targets]
    if errors:
        more = len(errors) - _MAX_ERRORS
        raise DataError("\n".join([*errors[:_MAX_ERRORS], *([f"{path}: … and {more} more"] if more > 0 else [])]))
    return tuple(GlossaryEntry(source, tuple(targets)) for source, targets in found.items())


class _TermIndex:
    """Entries by the words of their terms."""

    def __init__(self, entries: Sequence[GlossaryEntry], fold: Callable[[str], str]) -> None:
        self._fold = fold
        self._entries: dict[_Key, GlossaryEntry] = {}
        self._lengths: dict[str, set[int]] = {}
        """Numbers of words of the terms, by their first word."""
        for entry in entries:
            key = self._key(split_words(entry.source))
            self._entries.setdefault(key, entry)
            self._lengths.setdefault(key[0], set()).add(len(key))

    def occurrences(self, words: Sequence[Word]) -> Iterator[TermOccurrence]:
        """Yield all occurrences, also those that overlap."""
        key = self._key(words)
        for start, first in enumerate(key):
            for length in self._lengths.get(first, ()):
                entry = self._entries.get(key[start : start + length])
                if entry is not None and start + length <= len(key):
                    yield TermOccurrence(entry, words[start].start, words[start + length - 1].end)

    def _key(self, words: Sequence[Word]) -> _Key:
        return tuple(self._fold(word.compatible) for word in words)
