"""Protocols of segmenters, which split normalised text into pieces, and a cache of the pieces of words.

The cache relies on two properties of text: words repeat, and no piece spans two words.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain, count, islice
from typing import ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from nmt_cli.data.arrays import Integers
from nmt_cli.recipe.data import TokenizerSettings

WORD_START = "▁"
"""First character of each piece at the start of a word."""

_MAX_WORDS, _MAX_TOKENS = 400_000, 4_000_000
"""The cache is cleared when it exceeds one of these; frequent words are soon cached again."""
_MAX_WORD_LENGTH = 40
"""In characters. Longer words are not cached: a line without spaces is one long word that does not repeat."""

_LINE_END = "\n"
"""Word 0, which has no tokens and occurs in no line."""

Tokens = npt.NDArray[np.int32]


class PieceKind(IntEnum):
    """Kind of a piece, with the names and values of SentencePiece."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    """Given by the user and never split."""
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Piece:
    """A piece of a segmenter."""

    text: str
    score: float
    """unigram: log-probability; bpe: 0 for the first merge, -1 for the second, and so on."""
    kind: PieceKind = PieceKind.NORMAL


class SubwordSampler(Protocol):
    """Splits text at random."""

    def encode(self, lines: Sequence[str], rng: np.random.Generator) -> tuple[Integers, Integers]:
        """Return the pieces of all lines, one line after another, and the number of pieces of each line."""


class Segmenter(Protocol):
    """Splits normalised text into pieces, which are given as indices into `pieces`.

    The text of a piece begins with ▁ if it begins a word. Each word begins with one such piece, except perhaps the
    first of a line, and no piece spans two words.
    """

    name: ClassVar[str]
    """Key in SEGMENTERS; the value of `tokenizer.algorithm`."""
    model: bytes
    """Serialised form, from which a segmenter is constructed."""
    unk: int
    """Index of the unknown piece."""
    reads_line_breaks: ClassVar[bool]
    """Whether line breaks in a text can be encoded; otherwise each line is encoded alone."""

    def __init__(self, model: bytes) -> None: ...

    @classmethod
    def train(cls, settings: TokenizerSettings, num_special: int, lines: Iterable[str], seed: int) -> Self:
        """Learn from normalised lines; the same input gives the same model on any machine.

        Args:
            num_special: How many of the `settings.vocabulary_size` entries are not pieces. Unk counts as a piece.

        Raises:
            RecipeError: The text or the settings do not allow a vocabulary of this size.
        """

    @property
    def pieces(self) -> Sequence[Piece]:
        """All pieces, by index."""

    @property
    def can_cache_words(self) -> bool:
        """Whether encoding a line word by word gives the same result and is faster."""

    @property
    def marks_first_word(self) -> bool:
        """Whether the first piece of a line also begins with ▁."""

    @property
    def unk_is_word(self) -> bool:
        """Whether the unknown piece always stands for one whole word."""

    @property
    def sentencepiece_model(self) -> bytes | None:
        """A SentencePiece model that splits any text in the same way, if there is one."""

    def encode(self, lines: list[str], num_threads: int = -1) -> list[list[int]]:
        """Return the pieces of each line."""

    def surfaces(self, line: str) -> list[str]:
        """Return the text of each piece of a line. For the unknown piece, this is the text that it replaces."""

    def encode_fragments(self, texts: list[str]) -> list[list[int]]:
        """Return the pieces of parts of words, which begin with ▁ only if they begin a word."""

    def decode(self, rows: list[list[int]]) -> list[str]:
        """Return the text of each row of pieces."""

    def decode_surfaces(self, surfaces: Sequence[str]) -> str:
        """Return the text of a row of pieces that are given by their texts, as `surfaces` returns them."""

    def byte_fallback(self, text: str) -> list[int]:
        """Return the pieces of text without a piece of its own: its bytes, or a single unknown piece."""

    def with_pieces(self, pieces: Sequence[Piece]) -> Self:
        """Return the segmenter with pieces appended."""

    def learn_pieces(self, word_counts: Mapping[str, int], num_pieces: int) -> list[Piece]:
        """Learn up to `num_pieces` additional pieces from words, which begin with ▁ and are sorted by frequency."""

    def sampler(self, alpha: float) -> SubwordSampler:
        """Return a sampler of segmentations; RecipeError if text can be split in one way only."""


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
        """Tokenize the last `num_new` words."""
        words = list(islice(reversed(self._word_ids), num_new))[::-1]
        tokens, lengths = self._encode(words)
        self._starts = np.concatenate([self._starts, len(self._tokens) + np.cumsum(lengths) - lengths])
        self._lengths = np.concatenate([self._lengths, lengths])
        self._tokens = np.concatenate([self._tokens, tokens])
        for word in words:
            if len(word) > _MAX_WORD_LENGTH:
                del self._word_ids[word]


def _has_odd_spaces(line: str) -> bool:
    """Return whether a line has spaces, or ▁, that do not separate two words but are pieces themselves."""
    return "▁" in line or "  " in line or line[:1] == " " or line[-1:] == " "
