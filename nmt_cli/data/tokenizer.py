"""Text ↔ token ids: a normalisation, and for each side a segmenter and a vocabulary."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sentencepiece

from nmt_cli.data.segmenter_training import train_segmenter
from nmt_cli.errors import ModelError
from nmt_cli.files import json_bytes, new_file, read_json, write_json
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.text.normalization import NORMALIZATIONS, one_line

_SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]
_SILENT = {number for number, token in enumerate(_SPECIAL) if token != "<unk>"}
_SETTINGS = "tokenizer.json"
_LARGEST_FILE = 256 * 2**20


@dataclass(frozen=True)
class Piece:
    """A part of a word, as SentencePiece knows it."""

    text: str
    score: float
    """unigram: its log-probability; bpe: 0 for what is merged first, -1 for the next, and so on."""
    number: int
    """In the vocabulary."""


class Subwords:
    """One side: SentencePiece cuts text into pieces, the vocabulary numbers them.

    The numbers are the places in the list `vocabulary`, whatever SentencePiece's own may be. Its
    first four are the special tokens, which no text can reach: a piece `</s>`, learned from text
    that contains these characters, has a number of its own.
    """

    def __init__(self, segmenter: bytes, vocabulary: list[str]) -> None:
        self.segmenter, self.vocabulary = segmenter, vocabulary
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=segmenter)
        unknown, size = _SPECIAL.index("<unk>"), self._processor.get_piece_size()
        numbers = {piece: number for number, piece in enumerate(vocabulary) if number >= len(_SPECIAL)}
        self._number = [numbers.get(self._processor.id_to_piece(i), unknown) for i in range(size)]
        self._number[self._processor.unk_id()] = unknown
        self._longest = max((len(self._processor.id_to_piece(i)) for i in range(size)), default=1)
        self._piece = [self._processor.unk_id()] * len(vocabulary)
        for piece, number in enumerate(self._number):
            self._piece[number] = piece

    @classmethod
    def train(cls, settings: TokenizerSettings, lines: Iterable[str], seed: int) -> "Subwords":
        segmenter = train_segmenter(settings, settings.vocabulary_size - len(_SPECIAL) + 1, lines, seed)
        processor = sentencepiece.SentencePieceProcessor(model_proto=segmenter)
        learned = range(processor.get_piece_size())
        pieces = [processor.id_to_piece(i) for i in learned if i != processor.unk_id()]
        return cls(segmenter, [*_SPECIAL, *pieces])

    @cached_property
    def begins_word(self) -> npt.NDArray[np.bool_]:
        """By number: whether a piece begins a word. Each word begins with one, and no piece reaches into two."""
        assert "▁" in self.vocabulary and not any("▁" in piece[1:] for piece in self.vocabulary)
        return np.array([piece.startswith("▁") for piece in self.vocabulary])

    def pieces(self) -> list[Piece]:
        """What text is cut into, in the segmenter's order; not what stands for the rest: bytes, the unknown piece."""
        known = self._processor
        return [
            Piece(known.id_to_piece(i), known.get_score(i), self._number[i])
            for i in range(known.get_piece_size())
            if not (known.is_unknown(i) or known.is_byte(i) or known.is_control(i) or known.is_unused(i))
        ]

    def spell(self, text: str) -> list[int]:
        """The tokens of characters that no piece holds: their bytes, or an unknown token for all together."""
        pieces = [self._processor.piece_to_id(f"<0x{byte:02X}>") for byte in text.encode()]
        if self._processor.unk_id() in pieces:
            return [_SPECIAL.index("<unk>")]
        return [self._number[piece] for piece in pieces]

    def fewest(self, line: str) -> int:
        """How many known tokens it takes at least to write `line`, found without cutting it."""
        return len(line) // self._longest

    def encode(self, lines: list[str]) -> list[list[int]]:
        number = self._number
        return [[number[piece] for piece in row] for row in self._processor.encode(lines)]

    def decode(self, rows: list[list[int]]) -> list[str]:
        piece = self._piece
        decoded: list[str] = self._processor.decode([[piece[i] for i in row if i not in _SILENT] for row in rows])
        return decoded


class Tokenizer:
    """Lists of lines in, lists of token ids out, and back. Joint: both sides are the same object."""

    pad, unknown, start, end = range(len(_SPECIAL))

    def __init__(self, normalization: str, source: Subwords, target: Subwords) -> None:
        self.normalization, self.source, self.target = normalization, source, target
        self.normalize = NORMALIZATIONS[normalization]

    @classmethod
    def train(cls, settings: TokenizerSettings, source: Iterable[str], target: Iterable[str], seed: int) -> "Tokenizer":
        """Learn from normalised lines; the same lines and seed give the same tokenizer on any machine."""
        if settings.joint:
            both = Subwords.train(settings, chain(source, target), seed)
            return cls(settings.normalization, both, both)
        return cls(
            settings.normalization,
            Subwords.train(settings, source, seed),
            Subwords.train(settings, target, seed),
        )

    @property
    def joint(self) -> bool:
        return self.source is self.target

    @property
    def source_size(self) -> int:
        return len(self.source.vocabulary)

    @property
    def target_size(self) -> int:
        return len(self.target.vocabulary)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides which ids a line gets."""
        digest = hashlib.sha256(self.normalization.encode())
        for side in (self.source, self.target):
            digest.update(hashlib.sha256(side.segmenter).digest())
            digest.update(hashlib.sha256(json_bytes(side.vocabulary)).digest())
        return digest.hexdigest()

    def encode_source(self, lines: list[str]) -> list[list[int]]:
        """Ids of each line's subwords, without special tokens. Lines are normalised first; twice does no harm."""
        return self.source.encode([self.normalize(line) for line in lines])

    def encode_target(self, lines: list[str]) -> list[list[int]]:
        """As `encode_source`, for the target side."""
        return self.target.encode([self.normalize(line) for line in lines])

    def decode_target(self, rows: list[list[int]]) -> list[str]:
        """Text of each row, always one line; special tokens are left out, unknown ones read ⁇."""
        return [one_line(text) for text in self.target.decode(rows)]

    def save(self, folder: Path) -> None:
        """Write into a folder: settings, and for each side the segmenter and the list of pieces."""
        folder.mkdir(parents=True, exist_ok=True)
        sides = {"joint": self.source} if self.joint else {"source": self.source, "target": self.target}
        for name, side in sides.items():
            with new_file(folder / f"{name}.model") as file:
                file.write(side.segmenter)
            write_json(folder / f"{name}.vocabulary.json", side.vocabulary)
        write_json(folder / _SETTINGS, {"format": 1, "normalization": self.normalization, "joint": self.joint})

    @staticmethod
    def is_saved_in(folder: Path) -> bool:
        """Whether a folder is one that `save` filled."""
        return (folder / _SETTINGS).is_file()

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Read what `save` wrote; ModelError if it is missing or damaged."""
        settings = read_json(folder / _SETTINGS, ModelError)
        match settings:
            case {"format": 1, "normalization": str(normalization), "joint": bool(joint)}:
                pass
            case _:
                raise ModelError(f"{folder / _SETTINGS}: is not a tokenizer of this version of nmt")
        if normalization not in NORMALIZATIONS:
            raise ModelError(f"{folder / _SETTINGS}: normalization {normalization!r} is unknown")
        source = _load_side(folder, "joint" if joint else "source")
        return cls(normalization, source, source if joint else _load_side(folder, "target"))


def _load_side(folder: Path, name: str) -> Subwords:
    model, pieces = folder / f"{name}.model", folder / f"{name}.vocabulary.json"
    for path in (model, pieces):
        if not path.is_file():
            raise ModelError(f"{path}: is missing")
        if path.stat().st_size > _LARGEST_FILE:
            raise ModelError(f"{path}: is too large to belong to a tokenizer")
    vocabulary = _checked(read_json(pieces, ModelError), pieces)
    try:
        return Subwords(model.read_bytes(), vocabulary)
    except Exception as error:  # SentencePiece raises whatever comes to hand
        raise ModelError(f"{model}: is no SentencePiece model, or is damaged") from error


def _checked(vocabulary: Any, path: Path) -> list[str]:
    if not isinstance(vocabulary, list) or not all(isinstance(piece, str) for piece in vocabulary):
        raise ModelError(f"{path}: is not a list of pieces")
    if vocabulary[: len(_SPECIAL)] != _SPECIAL:
        raise ModelError(f"{path}: does not begin with {json.dumps(_SPECIAL)}")
    if len(set(vocabulary[len(_SPECIAL) :])) != len(vocabulary) - len(_SPECIAL):
        raise ModelError(f"{path}: has a piece twice")
    return vocabulary
