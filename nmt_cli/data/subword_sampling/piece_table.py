"""The distinct words of some lines as arrays of characters, to be split all at once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nmt_cli.data.arrays import Integers, enumerate_ranges, starts_of
from nmt_cli.data.tokenizing.segmenter import WORD_START, PieceKind, Segmenter
from nmt_cli.errors import RecipeError

END = -1
"""Ends each word."""

_UNKNOWN = -2
_MAX_CHARACTER = 0x10FFFF
_STAND_INS = range(0xD800, 0xE000)
"""Characters that cannot occur in text; each stands for a user-defined piece."""


@dataclass(frozen=True)
class DistinctWords:
    """The distinct words of some lines, and where each occurs. No piece reaches from one word into the next.

    A word is ▁ and what follows up to the next space, as symbols: rows of the piece table that are single characters.
    A run of characters that no piece contains is one symbol, P and up for a table of P pieces.
    """

    symbols: Integers
    """All words, each followed by END."""
    starts: Integers
    """[W], where each word begins."""
    occurrences: Integers
    """[n], index of the distinct word at each position of the text."""
    words_per_line: Integers
    """[lines]"""
    fallbacks: list[list[int]]
    """Pieces of the segmenter for each run of unknown characters."""


@dataclass(frozen=True)
class Segmentation:
    """The words of the text as symbols, merged or not, one word after another."""

    symbols: Integers
    lengths: Integers
    """[n], number of symbols of each word."""


class WordSampler(Protocol):
    """Splits words at random."""

    def sample(self, words: DistinctWords, rng: np.random.Generator) -> Segmentation:
        """Split each word of the text independently of its other occurrences."""


class PieceTable:
    """The P pieces that words are split into: normal pieces, then user-defined ones. A symbol is a row of the table."""

    def __init__(self, segmenter: Segmenter) -> None:
        normal, user_defined = (
            [(index, piece) for index, piece in enumerate(segmenter.pieces) if piece.kind == kind]
            for kind in (PieceKind.NORMAL, PieceKind.USER_DEFINED)
        )
        if len(user_defined) > len(_STAND_INS):
            raise RecipeError(f"training.subword_sampling: this tokenizer has more than {len(_STAND_INS):,} symbols")
        self._segmenter = segmenter
        self._stand_ins = {piece.text: chr(code) for (_, piece), code in zip(user_defined, _STAND_INS, strict=False)}
        longest_first = sorted(map(re.escape, self._stand_ins), key=len, reverse=True)
        self._any_stand_in = re.compile("|".join(longest_first)) if user_defined else None
        self.texts = [*(piece.text for _, piece in normal), *self._stand_ins.values()]
        lowest = min((piece.score for _, piece in normal), default=0)
        scores = [*(piece.score for _, piece in normal), *(lowest - 1 - i for i in range(len(user_defined)))]
        self.scores = np.array(scores)
        self._indices = np.array([index for index, _ in normal + user_defined], np.int64)
        self.alphabet = {text: row for row, text in enumerate(self.texts) if len(text) == 1}
        self._symbols = np.full(_MAX_CHARACTER + 1, _UNKNOWN, np.int64)
        self._symbols[[ord(character) for character in self.alphabet]] = list(self.alphabet.values())
        self._symbols[ord("\n")] = END

    def split_words(self, lines: Sequence[str]) -> DistinctWords:
        """Return the words of normalised lines."""
        if self._any_stand_in:
            lines = [self._any_stand_in.sub(lambda found: self._stand_ins[found[0]], line) for line in lines]
        running = " ".join(lines).split(" ")
        indices = {word: index for index, word in enumerate(dict.fromkeys(running))}
        text = "".join(f"{WORD_START}{word}\n" for word in indices)
        symbols = self._symbols[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")]
        fallbacks: list[list[int]] = []
        if (symbols == _UNKNOWN).any():
            symbols, fallbacks = self._with_unknown_runs(symbols, text)
        ends = np.flatnonzero(symbols == END)
        return DistinctWords(
            symbols,
            np.append(0, ends[:-1] + 1),
            np.fromiter(map(indices.__getitem__, running), np.int64, len(running)),
            np.array([line.count(" ") + 1 for line in lines]),
            fallbacks,
        )

    def _with_unknown_runs(self, symbols: Integers, text: str) -> tuple[Integers, list[list[int]]]:
        """Make one symbol of each run of unknown characters, and return the pieces that it stands for."""
        unknown = np.concatenate([[False], symbols == _UNKNOWN])
        starts, ends = (np.flatnonzero(np.diff(unknown.astype(np.int8)) == change) for change in (1, -1))
        symbols = symbols.copy()
        symbols[starts] = len(self.texts) + np.arange(len(starts))
        runs = [text[start:end] for start, end in zip(starts, ends, strict=True)]
        return symbols[symbols != _UNKNOWN], [self._segmenter.byte_fallback(run) for run in runs]

    def to_pieces(self, words: DistinctWords, segmentation: Segmentation) -> tuple[Integers, Integers]:
        """Return the segmenter's pieces of all lines, and the number of pieces of each line."""
        fallback_sizes = np.array([len(run) for run in words.fallbacks], np.int64)
        sizes = np.append(np.ones(len(self._indices), np.int64), fallback_sizes)
        pieces = np.append(self._indices, np.array([piece for run in words.fallbacks for piece in run], np.int64))
        starts, sizes = starts_of(sizes)[segmentation.symbols], sizes[segmentation.symbols]
        symbols, within = enumerate_ranges(sizes)
        ends = np.cumsum(sizes)
        last_symbols = np.cumsum(segmentation.lengths)[np.cumsum(words.words_per_line) - 1] - 1
        return pieces[starts[symbols] + within], np.diff(ends[last_symbols], prepend=0)


class WordwiseSampler:
    """Splits lines at random, word by word."""

    def __init__(self, table: PieceTable, sampler: WordSampler) -> None:
        self._table, self._sampler = table, sampler

    def encode(self, lines: Sequence[str], rng: np.random.Generator) -> tuple[Integers, Integers]:
        """Return the pieces of all lines, one line after another, and the number of pieces of each line."""
        words = self._table.split_words(lines)
        return self._table.to_pieces(words, self._sampler.sample(words, rng))
