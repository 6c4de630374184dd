"""Lines cut word by word, each distinct word once: text repeats its words, and no piece reaches over a space."""

from collections import defaultdict
from collections.abc import Callable
from itertools import chain, count, islice

import numpy as np
import numpy.typing as npt

_MOST_WORDS, _MOST_TOKENS = 400_000, 4_000_000
"""When more are known, all are forgotten; the frequent ones are soon known again."""
_LONGEST = 40
"""Characters of a word worth knowing. Where no spaces are written, a line is one word that never comes again."""

_LINE_END = "\n"
"""Word number 0, which has no tokens; no line holds one."""

Tokens = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]


class WordCache:
    """Cuts lines as `cut` cuts their words: texts in; the tokens of all, one after another, and how many each has.

    That is how `cut` would cut the lines themselves, if each word begins with a piece of its own. Where two cuts of
    a word are equally probable but for rounding, what stands before it in a line may sway SentencePiece, but not us.
    """

    def __init__(self, cut: Callable[[list[str]], tuple[Tokens, Integers]]) -> None:
        self._cut = cut
        self._numbers: defaultdict[str, int]
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
        numbers = np.fromiter(map(self._numbers.__getitem__, words), np.int64, len(words))
        if (new := int(numbers.max()) + 1 - len(self._starts)) > 0:
            self._learn(new)
        lengths = self._lengths[numbers]
        ends = np.cumsum(lengths)
        places = np.repeat(self._starts[numbers] - (ends - lengths), lengths) + np.arange(ends[-1])
        return self._tokens[places], np.diff(ends[numbers == 0], prepend=0)

    def _learn(self, new: int) -> None:
        """Cut the words that were numbered last."""
        words = list(islice(reversed(self._numbers), new))[::-1]
        tokens, lengths = self._cut(words)
        self._starts = np.concatenate([self._starts, len(self._tokens) + np.cumsum(lengths) - lengths])
        self._lengths = np.concatenate([self._lengths, lengths])
        self._tokens = np.concatenate([self._tokens, tokens])
        for word in words:
            if len(word) > _LONGEST:
                del self._numbers[word]

    def _forget(self) -> None:
        self._numbers = defaultdict(count(1).__next__, {_LINE_END: 0})  # a new word gets the next number
        self._starts, self._lengths = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self._tokens = np.empty(0, np.int32)


def _is_odd(line: str) -> bool:
    """Whether there are spaces that do not stand between two words."""
    return "▁" in line or "  " in line or line[:1] == " " or line[-1:] == " "
