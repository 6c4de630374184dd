"""Lines in the context of those before them in their document: joined for a model, and taken apart again."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import SEPARATOR
from nmt_cli.recipe.data import Context

Item = TypeVar("Item")


def with_neighbours(
    items: Iterable[Item], count: int, ends: Callable[[Item], bool]
) -> Iterator[tuple[Item, tuple[Item, ...]]]:
    """Each item with those before it in its document, `count` at most; one that `ends` a document belongs to none."""
    before: deque[Item] = deque(maxlen=count)
    for item in items:
        if ends(item):
            before.clear()
            yield item, ()
        else:
            yield item, tuple(before)
            before.append(item)


@dataclass(frozen=True)
class Joining:
    """Joins tokens of lines as a model has learned it; without a context, or what is before, nothing changes."""

    tokenizer: Tokenizer
    context: Context | None
    longest: int
    """Tokens of all lines together, beyond which the farthest are left out."""

    @property
    def count(self) -> int:
        """How many lines before each may matter."""
        return 0 if self.context is None else self.context.sentences

    @property
    def says_all(self) -> bool:
        """Whether the model says the translations of the lines before, too."""
        return self.context is not None and self.context.target

    @property
    def separators(self) -> set[int]:
        """Target tokens between sentences, if the model says any."""
        return {self.tokenizer.target.tag(SEPARATOR)} if self.says_all else set()

    def fitting(self, before: Sequence[Sequence[str]], lengths: Sequence[int]) -> list[list[list[int]]]:
        """For each line, of so many source tokens, the tokens of those before it that fit."""
        if self.context is None or not any(before):
            return [[] for _ in before]
        lines = list(dict.fromkeys(chain.from_iterable(before)))
        tokens = dict(zip(lines, self.tokenizer.encode_source(lines), strict=True))
        found = []
        for neighbours, length in zip(before, lengths, strict=True):
            rows = list[list[int]]()
            for line in reversed(neighbours):
                length += len(tokens[line]) + 1
                if length > self.longest:
                    break
                rows.insert(0, tokens[line])
            found.append(rows)
        return found

    def sources(self, rows: Iterable[Sequence[int]]) -> tuple[int, ...]:
        """What stands before the source of a line: the sources before it, each with a separator."""
        return tuple(chain.from_iterable((*row, self.tokenizer.source.tag(SEPARATOR)) for row in rows))

    def targets(self, rows: Iterable[Sequence[int]]) -> tuple[int, ...]:
        """As `sources`, for the target; nothing if the model says the translation of the line alone."""
        if not self.says_all:
            return ()
        return tuple(chain.from_iterable((*row, self.tokenizer.target.tag(SEPARATOR)) for row in rows))

    def decode(self, rows: list[list[int]]) -> list[str]:
        """The text of each row that is the line's own: what stands after the last separator."""
        for separator in self.separators:
            rows = [row[_after(row, separator) :] for row in rows]
        return self.tokenizer.decode_target(rows)


def _after(row: Sequence[int], separator: int) -> int:
    return max((place + 1 for place, token in enumerate(row) if token == separator), default=0)
