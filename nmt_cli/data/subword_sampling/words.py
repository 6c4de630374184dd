"""The distinct words of some lines as arrays of characters, ready to be cut all at once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nmt_cli.data.tokenizer import Subwords
from nmt_cli.errors import RecipeError

Integers = npt.NDArray[np.int64]

END = -1
"""Stands after each word."""

_UNKNOWN = -2
_HIGHEST_CHARACTER = 0x10FFFF
_STAND_INS = range(0xD800, 0xE000)
"""Characters that no text can have, each of which stands for a symbol."""


@dataclass(frozen=True)
class Words:
    """Distinct words, and where each stands in the text. No piece reaches from one word into the next.

    A word is the segmenter's ▁ and what follows up to the next space, as symbols: numbers of pieces of
    one character. A run of characters that no piece holds is one symbol, P and up for P pieces.
    """

    symbols: Integers
    """All words, END after each."""
    starts: Integers
    """[W], where each word begins."""
    running: Integers
    """[n], which word each word of the text is."""
    words_of_line: Integers
    """[lines], how many words of the text each line has."""
    spelled: list[list[int]]
    """Token ids of each run of unknown characters."""


@dataclass(frozen=True)
class Cut:
    """The symbols, merged or not, that the words of the text were cut into, one after another."""

    symbols: Integers
    lengths: Integers
    """[n], symbols of each word of the text."""


class Sampler(Protocol):
    """Cuts words at random."""

    def cut(self, words: Words, generator: np.random.Generator) -> Cut:
        """Cut each word of the text on its own; what is drawn follows from the words and the generator alone."""


class Inventory:
    """The P pieces of one side, and how text is written with them; a symbol is a piece of one character."""

    def __init__(self, subwords: Subwords) -> None:
        self._subwords = subwords
        pieces, symbols = subwords.pieces(), subwords.symbols()
        if subwords.algorithm == "word":
            raise RecipeError("training.subword_sampling: this tokenizer cuts text into words, and only in one way")
        if subwords.changes_text:
            raise RecipeError("training.subword_sampling: this tokenizer cuts other text than it is given")
        if len(symbols) > len(_STAND_INS):
            raise RecipeError(f"training.subword_sampling: this tokenizer has more than {len(_STAND_INS):,} symbols")
        self._stand_ins = {symbol.text: chr(number) for symbol, number in zip(symbols, _STAND_INS, strict=False)}
        longest_first = sorted(map(re.escape, self._stand_ins), key=len, reverse=True)
        self._any_symbol = re.compile("|".join(longest_first)) if symbols else None
        self.texts = [*(piece.text for piece in pieces), *self._stand_ins.values()]
        lowest = min((piece.score for piece in pieces), default=0)
        self.scores = np.array([*(piece.score for piece in pieces), *(lowest - 1 - i for i in range(len(symbols)))])
        self._ids = np.array([piece.number for piece in pieces + symbols], np.int64)
        self.alphabet = {text: number for number, text in enumerate(self.texts) if len(text) == 1}
        self._symbols = np.full(_HIGHEST_CHARACTER + 1, _UNKNOWN, np.int64)
        self._symbols[[ord(character) for character in self.alphabet]] = list(self.alphabet.values())
        self._symbols[ord("\n")] = END

    def words(self, lines: Sequence[str]) -> Words:
        """The words of normalised lines."""
        if self._any_symbol:
            lines = [self._any_symbol.sub(lambda found: self._stand_ins[found[0]], line) for line in lines]
        split = " ".join(lines).split(" ")
        number = {word: place for place, word in enumerate(dict.fromkeys(split))}
        text = "".join(f"▁{word}\n" for word in number)
        symbols = self._symbols[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")]
        spelled: list[list[int]] = []
        if (symbols == _UNKNOWN).any():
            symbols, spelled = self._with_runs(symbols, text)
        ends = np.flatnonzero(symbols == END)
        return Words(
            symbols,
            np.append(0, ends[:-1] + 1),
            np.fromiter(map(number.__getitem__, split), np.int64, len(split)),
            np.array([line.count(" ") + 1 for line in lines]),
            spelled,
        )

    def _with_runs(self, symbols: Integers, text: str) -> tuple[Integers, list[list[int]]]:
        """Make one symbol of each run of unknown characters, and tell the tokens that it stands for."""
        unknown = np.concatenate([[False], symbols == _UNKNOWN])
        first, after = (np.flatnonzero(np.diff(unknown.astype(np.int8)) == change) for change in (1, -1))
        symbols = symbols.copy()
        symbols[first] = len(self.texts) + np.arange(len(first))
        runs = [text[one:end] for one, end in zip(first, after, strict=True)]
        return symbols[symbols != _UNKNOWN], [self._subwords.spell(run) for run in runs]

    def tokens(self, words: Words, cut: Cut) -> tuple[Integers, Integers]:
        """Token ids, and how many each line has."""
        spelled = np.array([len(run) for run in words.spelled], np.int64)
        sizes = np.append(np.ones(len(self._ids), np.int64), spelled)
        tokens = np.append(self._ids, np.array([token for run in words.spelled for token in run], np.int64))
        places = (np.cumsum(sizes) - sizes)[cut.symbols]
        sizes = sizes[cut.symbols]
        ends = np.cumsum(sizes)
        within = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
        last_symbols = np.cumsum(cut.lengths)[np.cumsum(words.words_of_line) - 1] - 1
        return tokens[np.repeat(places, sizes) + within], np.diff(ends[last_symbols], prepend=0)
