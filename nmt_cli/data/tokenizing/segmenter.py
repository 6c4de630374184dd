"""Protocols of segmenters, which split normalised text into pieces."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Protocol, Self

import numpy as np

from nmt_cli.data.arrays import Integers
from nmt_cli.recipe.data import TokenizerSettings

WORD_START = "▁"
"""First character of each piece at the start of a word."""


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
    first of a line, and no piece reaches from one word into the next.
    """

    name: ClassVar[str]
    """Key in SEGMENTERS; the value of `tokenizer.algorithm`."""
    model: bytes
    """Serialised form, from which a segmenter is constructed."""
    unk: int
    """Index of the unknown piece."""
    reads_line_breaks: ClassVar[bool]
    """Whether it encodes texts of several lines; otherwise each line is encoded alone."""

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
        """Whether the first piece of a line, too, begins with ▁."""

    @property
    def unk_is_word(self) -> bool:
        """Whether the unknown piece always stands for one whole word."""

    @property
    def sentencepiece_model(self) -> bytes | None:
        """A SentencePiece model that splits any text in the same way, if there is one."""

    def encode(self, lines: list[str], num_threads: int = -1) -> list[list[int]]:
        """Return the pieces of each line."""

    def surfaces(self, line: str) -> list[str]:
        """Return the text of each piece of a line, which for the unknown piece is the text that has no piece."""

    def encode_fragments(self, texts: list[str]) -> list[list[int]]:
        """Return the pieces of parts of words, which begin with ▁ only if they begin a word."""

    def decode(self, rows: list[list[int]]) -> list[str]:
        """Return the text of each row of pieces."""

    def join(self, texts: Sequence[str]) -> str:
        """Return the text of a row of pieces that are given as text, as by `surfaces`."""

    def byte_fallback(self, text: str) -> list[int]:
        """Return the pieces for characters without a piece of their own: their bytes, or a single unknown piece."""

    def extended(self, pieces: Sequence[Piece]) -> Self:
        """Return a segmenter with these pieces added at the end."""

    def learn_pieces(self, word_counts: Mapping[str, int], num_pieces: int) -> list[Piece]:
        """Learn up to `num_pieces` additional pieces from words, which begin with ▁, most frequent first."""

    def sampler(self, alpha: float) -> SubwordSampler:
        """Return a sampler of segmentations; RecipeError if text can be split in one way only."""
