"""Tokenization word by word, each distinct word once: words repeat, and no piece reaches across a space."""

from collections import defaultdict
from collections.abc import Callable
from itertools import chain, count, islice

import numpy as np
import numpy.typing as npt

from nmt_cli.data.arrays import Integers

_MAX_WORDS, _MAX_TOKENS = 400_000, 4_000_000
"""The cache is emptied when it exceeds one of these; frequent words soon return."""
_MAX_WORD_LENGTH = 40
"""In characters. Longer words are not cached: a line without spaces is one long word that does not repeat."""

_LINE_END = "\n"
"""Word 0, which has no tokens and occurs in no line."""

Tokens = npt.NDArray[np.int32]


class WordCache:
    """Tokenizes lines word by word with `encode`, each distinct word once.

    The result equals tokenizing whole lines if each word begins with a piece of its own. Where two segmentations
    of a word are equally probable up to rounding, SentencePiece may choose by the text before it; the cache does not.
    """

    def __init__(self, encode: Callable[[list[str]], tuple[Tokens, Integers]]) -> None:
        """Start empty.

        Args:
            encode: Returns the token ids of all texts, one text after another, and the number of tokens of each.
        """
        self._encode = encode
        self._clear()

    def _clear(self) -> None:
        self._word_ids = defaultdict(count(1).__next__, {_LINE_END: 0})  # a new word gets the next id
        self._starts: Integers = np.zeros(1, np.int64)
        self._lengths: Integers = np.zeros(1, np.int64)
        self._tokens: Tokens = np.empty(0, np.int32)

    def encode(self, lines: list[str]) -> tuple[Tokens, Integers]:
        """Return the token ids of all lines, one line after another, and the number of tokens of each line."""
        if not lines:
            return np.empty(0, np.int32), np.empty(0, np.int64)
        if len(self._starts) > _MAX_WORDS or len(self._tokens) > _MAX_TOKENS:
            self._clear()
        text = f" {_LINE_END} ".join(lines)
        if _has_odd_spaces(text):
            parts = ([line, _LINE_END] if _has_odd_spaces(line) else [*line.split(" "), _LINE_END] for line in lines)
            words = list(chain.from_iterable(parts))
        else:
            words = [*text.split(" "), _LINE_END]
        word_ids = np.fromiter(map(self._word_ids.__getitem__, words), np.int64, len(words))
        if (num_new := int(word_ids.max()) + 1 - len(self._starts)) > 0:
            self._add(num_new)
        lengths = self._lengths[word_ids]
        ends = np.cumsum(lengths)
        positions = np.repeat(self._starts[word_ids] - (ends - lengths), lengths) + np.arange(ends[-1])
        return self._tokens[positions], np.diff(ends[word_ids == 0], prepend=0)

    def _add(self, num_new: int) -> None:
        """Tokenize the words that have the last ids."""
        words = list(islice(reversed(self._word_ids), num_new))[::-1]
        tokens, lengths = self._encode(words)
        self._starts = np.concatenate([self._starts, len(self._tokens) + np.cumsum(lengths) - lengths])
        self._lengths = np.concatenate([self._lengths, lengths])
        self._tokens = np.concatenate([self._tokens, tokens])
        for word in words:
            if len(word) > _MAX_WORD_LENGTH:
                del self._word_ids[word]


def _has_odd_spaces(line: str) -> bool:
    """Return whether a line has spaces that do not separate two words. Such a space is a piece."""
    return "▁" in line or "  " in line or line[:1] == " " or line[-1:] == " "
