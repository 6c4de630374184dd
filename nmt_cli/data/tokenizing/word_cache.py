"""Lines cut word by word, each distinct word once: text repeats its words, and no piece reaches over a space."""

from collections.abc import Callable
from itertools import chain, count, repeat

import numpy as np
import numpy.typing as npt

_MOST_WORDS, _MOST_TOKENS = 400_000, 4_000_000
"""When more are known, all are forgotten; the frequent ones are soon known again."""
_LONGEST = 40
"""Characters of a word worth knowing. Where no spaces are written, a line is one word that never comes again."""

_LINE_END = "\n"
"""Word number 0, which has no tokens; no line holds one."""

_NEW = -1
"""In place of the number of a word that is not known yet."""

Tokens = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]


class WordCache:
    """Cuts lines as `encode`, which gives the token ids of each of some texts, cuts their words.

    That is how `encode` would cut the lines themselves, if each word begins with a piece of its own. Where two cuts of
    a word are equally probable but for rounding, what stands before it in a line may sway SentencePiece, but not us.
    """

    def __init__(self, encode: Callable[[list[str]], list[list[int]]]) -> None:
        self._encode = encode
        self._numbers: dict[str, int]
        self._starts: Integers
        self._lengths: Integers
        self._tokens: Tokens
        self._forget()

    def encode(self, lines: list[str]) -> tuple[Tokens, Integers]:
        """Token ids of all lines, one line after another, and how many each line has."""
        if not lines:
            return np.empty(0, np.int32), np.empty(0, np.int64)
        if len(self._starts) > _MOST_WORDS or len(self._tokens) > _MOST_TOKENS:
            self._forget()
        text = f" {_LINE_END} ".join(lines)
        if "  " in text or "▁" in text or text[:1] == " " or text[-1:] == " ":  # spaces without a word are pieces, too
            parts = ([line, _LINE_END] if _is_odd(line) else [*line.split(" "), _LINE_END] for line in lines)
            words = list(chain.from_iterable(parts))
        else:
            words = [*text.split(" "), _LINE_END]
        numbers = np.fromiter(map(self._numbers.get, words, repeat(_NEW)), np.int64, len(words))
        if (new := np.flatnonzero(numbers == _NEW)).size:
            numbers[new] = self._learn([words[place] for place in new])
        lengths = self._lengths[numbers]
        ends = np.cumsum(lengths)
        places = np.repeat(self._starts[numbers] - (ends - lengths), lengths) + np.arange(ends[-1])
        return self._tokens[places], np.diff(ends[numbers == 0], prepend=0)

    def _learn(self, words: list[str]) -> list[int]:
        """Cut words that are not known yet; their numbers."""
        distinct = list(dict.fromkeys(words))
        rows = self._encode(distinct)
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        tokens = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
        numbers = dict(zip(distinct, count(len(self._starts)), strict=False))
        self._starts = np.concatenate([self._starts, len(self._tokens) + np.cumsum(lengths) - lengths])
        self._lengths = np.concatenate([self._lengths, lengths])
        self._tokens = np.concatenate([self._tokens, tokens])
        self._numbers |= {word: number for word, number in numbers.items() if len(word) <= _LONGEST}
        return [numbers[word] for word in words]

    def _forget(self) -> None:
        self._numbers = {_LINE_END: 0}
        self._starts, self._lengths = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self._tokens = np.empty(0, np.int32)


def _is_odd(line: str) -> bool:
    """Whether there are spaces that do not stand between two words."""
    return "▁" in line or "  " in line or line[:1] == " " or line[-1:] == " "
