"""Lists of terms that a user brings, such as banned words, and their occurrences in text of any script.

A term is a word or phrase, matched as whole words in any case. A `*` at the beginning or end of a word stands for any
letters, so that inflected forms match: `Fahrr*` matches Fahrrad and Fahrräder, `*haus` also Rathaus.
A term in capitals, such as US, is matched in capitals only, as it is an abbreviation of another meaning than `us`.
In scripts without spaces, each letter is a word, so that a term matches any part of the text.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nmt_cli.errors import DataError
from nmt_cli.text.lines import read_lines
from nmt_cli.text.word_boundaries import Word, is_in_word, split_words

_WILDCARD = "*"
MAX_TERMS = 1_000_000
"""Maximum number of terms in a file."""
MAX_TERM_LENGTH = 1000
"""Maximum number of characters of a term in a file."""


@dataclass(frozen=True)
class TermMatch:
    """An occurrence of a term: characters `start` to `end` of a text."""

    term: str
    start: int
    end: int


@dataclass(frozen=True)
class _WordPattern:
    text: str
    starts_open: bool
    """Whether letters may precede the text in its word."""
    ends_open: bool

    @property
    def is_open(self) -> tuple[bool, bool]:
        return self.starts_open, self.ends_open

    def matches(self, word: str) -> bool:
        if self.starts_open and self.ends_open:
            return self.text in word
        if self.starts_open:
            return word.endswith(self.text)
        return word.startswith(self.text) if self.ends_open else word == self.text


@dataclass(frozen=True)
class _Term:
    text: str
    words: tuple[_WordPattern, ...]
    """With case folded, unless the term is in capitals."""


class TermList:
    """Finds terms in texts. The time for a text hardly depends on the number of terms."""

    def __init__(self, terms: Iterable[str]) -> None:
        parsed = [_parse(text) for text in dict.fromkeys(terms)]
        found = [each for each in parsed if each.words]
        self._folded = _TermTable([each for each in found if not _is_in_capitals(each.text)])
        self._exact = _TermTable([each for each in found if _is_in_capitals(each.text)])

    def __bool__(self) -> bool:
        return bool(self._folded) or bool(self._exact)

    def find(self, text: str) -> list[TermMatch]:
        """Return all occurrences in a text, by their start. Those of different terms may overlap."""
        if not self:
            return []
        words = split_words(text)
        found = [*self._folded.find(words, _folded), *self._exact.find(words, _compatible)]
        return sorted(found, key=lambda each: (each.start, each.end, each.term))


@lru_cache(1 << 10)
def term_list(terms: tuple[str, ...]) -> TermList:
    """Return the list of some terms, cached, as lines often have equal ones."""
    return TermList(terms)


def without_wildcards(term: str) -> str:
    """Return a term without the `*` that stand for other letters."""
    kept = list(term)
    for index in sorted(_wildcards(term, split_words(term)), reverse=True):
        del kept[index]
    return "".join(kept)


def case_variants(term: str, text: str) -> list[str]:
    """Return an occurrence of a term as it is and, unless the term is in capitals, in other common cases."""
    if _is_in_capitals(term):
        return [text]
    return list(dict.fromkeys([text, text.lower(), text[:1].upper() + text[1:], text.upper()]))


def read_terms(path: Path) -> tuple[str, ...]:
    """Read one term per line. Blank lines and lines that begin with `#` are skipped.

    Raises:
        DataError: The file cannot be read, is not UTF-8, has no terms, or is not a list of words.
    """
    found = dict[str, None]()
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if len(line) > MAX_TERM_LENGTH:
            raise DataError(
                f"{path}: line {number}: is longer than {MAX_TERM_LENGTH:,} characters; give one term per line"
            )
        if len(found) == MAX_TERMS:
            raise DataError(f"{path}: has more than {MAX_TERMS:,} terms")
        found[check_term(line.strip(), f"{path}: line {number}")] = None
    if not found:
        raise DataError(f"{path}: has no terms; give one per line")
    return tuple(found)


def check_term(term: str, location: str) -> str:
    """Return a term; DataError with the location if a `*` in it is not at the beginning or end of a word."""
    if term.count(_WILDCARD) > len(_wildcards(term, split_words(term))):
        reason = "stands for letters only alone at the beginning or end of a word, as in fahrr* or *rad"
        raise DataError(f"{location}: {term!r}: * {reason}; remove it")
    return term


class _TermTable:
    """Terms by their first words, with one way to compare words."""

    def __init__(self, terms: Sequence[_Term]) -> None:
        self._by_kind: dict[tuple[bool, bool], dict[str, list[_Term]]] = {}
        for term in terms:
            first = term.words[0]
            self._by_kind.setdefault(first.is_open, {}).setdefault(first.text, []).append(term)
        self._lengths = {kind: sorted({len(text) for text in table}) for kind, table in self._by_kind.items()}

    def __bool__(self) -> bool:
        return bool(self._by_kind)

    def find(self, words: Sequence[Word], fold: Callable[[Word], str]) -> Iterator[TermMatch]:
        folded = [fold(word) for word in words]
        for start, word in enumerate(folded):
            for term in self._beginning_with(word):
                end = start + len(term.words)
                rest = zip(term.words[1:], folded[start + 1 : end], strict=False)
                if end <= len(folded) and all(pattern.matches(each) for pattern, each in rest):
                    yield TermMatch(term.text, words[start].start, words[end - 1].end)

    def _beginning_with(self, word: str) -> Iterator[_Term]:
        """Yield the terms whose first word matches, each once."""
        for kind, table in self._by_kind.items():
            for text in _parts(word, kind, self._lengths[kind]):
                yield from table.get(text, ())


def _parts(word: str, kind: tuple[bool, bool], lengths: Sequence[int]) -> Iterable[str]:
    """Return the different texts of some lengths that match a word when they are open in this way."""
    if kind == (False, False):
        return (word,)
    if kind == (False, True):
        return (word[:length] for length in lengths if length <= len(word))
    if kind == (True, False):
        return (word[len(word) - length :] for length in lengths if length <= len(word))
    return {word[at : at + length] for length in lengths for at in range(len(word) - length + 1)}


def _parse(text: str) -> _Term:
    words = split_words(text)
    wildcards = _wildcards(text, words)
    fold = _compatible if _is_in_capitals(text) else _folded
    patterns = [
        _WordPattern(fold(word), word.start - 1 in wildcards, word.end in wildcards)
        for word in words
        if word.start not in wildcards
    ]
    return _Term(text, tuple(patterns))


def _wildcards(text: str, words: Sequence[Word]) -> set[int]:
    """Return the positions of the `*` that stand for letters: those beside a word on one side only."""
    found = set()
    for word in words:
        if text[word.start : word.end] == _WILDCARD:
            before, after = text[word.start - 1 : word.start], text[word.end : word.end + 1]
            if is_in_word(before) != is_in_word(after) and _WILDCARD not in (before, after):
                found.add(word.start)
    return found


def _is_in_capitals(text: str) -> bool:
    return text.isupper() and sum(map(str.isalpha, text)) > 1


def _compatible(word: Word) -> str:
    return word.compatible


def _folded(word: Word) -> str:
    return word.compatible.casefold()
