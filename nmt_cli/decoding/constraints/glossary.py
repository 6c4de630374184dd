"""Glossaries: source terms and their translations, as raw text."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nmt_cli.errors import DataError
from nmt_cli.text.lines import read_lines
from nmt_cli.text.word_boundaries import Word, split_words

_MAX_ERRORS = 10

GlossaryMode = Literal["soft", "hard"]
"""Soft terms get a bonus; hard terms are required."""

_Key = tuple[str, ...]
"""The words and punctuation marks of a term. Terms match if their keys are equal."""


@dataclass(frozen=True)
class GlossaryEntry:
    """A source term and its translations, in the order of the glossary."""

    source: str
    targets: tuple[str, ...]

    @property
    def ignores_case(self) -> bool:
        """Whether the entry matches in any case, which it does if its source term is in lower case."""
        return self.source == self.source.lower()


@dataclass(frozen=True)
class TermOccurrence:
    """An occurrence of an entry's source term: characters `start` to `end` of a text."""

    entry: GlossaryEntry
    start: int
    end: int


class Glossary:
    """Finds terms as whole words. Of overlapping terms, it finds the longest."""

    def __init__(self, entries: Sequence[GlossaryEntry]) -> None:
        self.entries = tuple(entries)
        self._exact = _TermIndex(entries, str)
        self._folded = _TermIndex([entry for entry in entries if entry.ignores_case], str.casefold)

    def occurrences(self, text: str) -> list[TermOccurrence]:
        """Return the terms in a text, in order. An entry with the exact case is preferred to one that ignores case."""
        found_words = split_words(text)
        candidates = [*self._exact.occurrences(found_words), *self._folded.occurrences(found_words)]
        is_covered = [False] * len(text)
        chosen = []
        # Longest first. The sort is stable, so of equally long ones, those with the exact case come first.
        for found in sorted(candidates, key=lambda each: each.start - each.end):
            if not any(is_covered[found.start : found.end]):
                is_covered[found.start : found.end] = [True] * (found.end - found.start)
                chosen.append(found)
        return sorted(chosen, key=lambda each: each.start)


def find_terms(terms: Iterable[str], text: str) -> list[str]:
    """Return the terms in a text, in order, once for each occurrence."""
    glossary = Glossary([GlossaryEntry(term, ()) for term in dict.fromkeys(terms)])
    return [each.entry.source for each in glossary.occurrences(text)]


def assign_targets(terms: Sequence[Sequence[str]], text: str) -> set[int]:
    """Assign each occurrence of a target in a translation to one term, so that as many terms as possible have one.

    Args:
        terms: The targets of each term.

    Returns:
        The indices of the terms that have a target. Of terms with the same targets, these are the first.
    """
    available = Counter(find_terms([target for targets in terms for target in targets], text))
    assigned = defaultdict[str, list[int]](list)

    def assign(term: int, visited: set[str]) -> bool:
        """Give a target to a term; another term may have to change to another of its targets."""
        for target in terms[term]:
            if target in visited or not available[target]:
                continue
            visited.add(target)
            if len(assigned[target]) < available[target]:
                assigned[target].append(term)
                return True
            for index, other in enumerate(assigned[target]):
                if assign(other, visited):
                    assigned[target][index] = term
                    return True
        return False

    return {index for index in range(len(terms)) if assign(index, set())}


def glossary_entries(terms: Mapping[str, str | Sequence[str]]) -> tuple[GlossaryEntry, ...]:
    """Return the entries of a dictionary from source terms to one or several target terms.

    Raises:
        DataError: A term is blank, or has no target.
    """
    entries = []
    for source, targets in terms.items():
        entry = GlossaryEntry(source, (targets,) if isinstance(targets, str) else tuple(targets))
        if not entry.targets or not all(map(split_words, (source, *entry.targets))):
            raise DataError(
                f"glossary: {source!r}: {targets!r}: a term is blank or missing; give it, or remove the entry"
            )
        entries.append(entry)
    return tuple(entries)


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
            errors.append(f"{path}:{line_number}: expected source term<TAB>target term, with one tab and no blank term")
            continue
        targets = found.setdefault(columns[0], [])
        targets += [each for each in dict.fromkeys(alternatives) if each not in targets]
    if errors:
        more = len(errors) - _MAX_ERRORS
        raise DataError("\n".join([*errors[:_MAX_ERRORS], *([f"{path}: … and {more} more"] if more > 0 else [])]))
    return tuple(GlossaryEntry(source, tuple(targets)) for source, targets in found.items())


class _TermIndex:
    """Maps the words of source terms, compared after `fold`, to entries."""

    def __init__(self, entries: Sequence[GlossaryEntry], fold: Callable[[str], str]) -> None:
        self._fold = fold
        self._entries: dict[_Key, GlossaryEntry] = {}
        self._lengths: dict[str, set[int]] = {}
        """Word counts of the terms, by their first word."""
        for entry in entries:
            key = self._key(split_words(entry.source))
            self._entries.setdefault(key, entry)
            self._lengths.setdefault(key[0], set()).add(len(key))

    def occurrences(self, words: Sequence[Word]) -> Iterator[TermOccurrence]:
        """Yield all occurrences, including overlapping ones."""
        key = self._key(words)
        for start, first in enumerate(key):
            for length in self._lengths.get(first, ()):
                entry = self._entries.get(key[start : start + length])
                if entry is not None and start + length <= len(key):
                    yield TermOccurrence(entry, words[start].start, words[start + length - 1].end)

    def _key(self, words: Sequence[Word]) -> _Key:
        return tuple(self._fold(word.compatible) for word in words)
