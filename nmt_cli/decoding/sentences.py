"""What search is given: sentences in tokens, and what is wished of their translations."""

from dataclasses import dataclass, field, replace
from typing import Self

from nmt_cli.data.token_corpus import Columns

Phrase = tuple[int, ...]
"""Target tokens in a row."""


@dataclass(frozen=True)
class Favoured:
    """A phrase that search prefers to say: the bonus, in nats, counts once for all of it."""

    phrase: Phrase
    bonus: float


@dataclass(frozen=True)
class HardTerm:
    """What characters `start` to `end` of a source text must be translated as."""

    start: int
    end: int
    target: str


@dataclass(frozen=True)
class Wishes:
    """What one translation shall be like, in target tokens."""

    prefix: Phrase = ()
    """How it begins."""
    openings: tuple[Phrase, ...] = ()
    """One of these is said after the prefix, if there are any."""
    required: tuple[Phrase, ...] = ()
    """Each is said at least as often as it is named here."""
    forbidden: tuple[Phrase, ...] = ()
    """None is said."""
    favoured: tuple[Favoured, ...] = ()
    terms: tuple[HardTerm, ...] = ()
    """Whose targets, spelled in tokens, are the last of the required phrases."""

    def __bool__(self) -> bool:
        return bool(self.prefix or self.openings or self.required or self.forbidden or self.favoured)

    @property
    def longest_beginning(self) -> int:
        """How many tokens the prefix and what must follow it may take."""
        return len(self.prefix) + max(map(len, self.openings), default=0)

    def without_terms(self) -> Self:
        return replace(self, required=self.required[: len(self.required) - len(self.terms)], terms=())


NO_WISHES = Wishes()


@dataclass(frozen=True)
class Sentence:
    """What is translated at once, a line or a piece of one: the line's number from 1, source tokens without end."""

    line: int
    tokens: list[int]
    wishes: Wishes = NO_WISHES
    tags: tuple[int, ...] = ()
    """Source tokens before them that are none of the text."""
    columns: Columns = field(default_factory=dict)
    """Source columns of the tokens, tags excluded."""
    unsaid: int = 0
    """How many of the tags are of other lines, which are not translated with this one."""

    @property
    def size(self) -> int:
        """How many source tokens a model reads, the end included."""
        return len(self.tags) + len(self.tokens) + 1
