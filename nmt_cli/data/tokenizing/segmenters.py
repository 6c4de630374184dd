"""The segmenters: SentencePiece's unigram and BPE models, characters, bytes and words, and byte-level BPE."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import sentencepiece

from nmt_cli.data.subword_sampling.bpe_dropout import BpeDropout
from nmt_cli.data.subword_sampling.piece_table import PieceTable, WordwiseSampler
from nmt_cli.data.subword_sampling.unigram import UnigramSampler
from nmt_cli.data.tokenizing.byte_level import ByteLevelSegmenter
from nmt_cli.data.tokenizing.new_pieces import new_characters, new_merges, new_words
from nmt_cli.data.tokenizing.segmenter import WORD_START, Piece, PieceKind, Segmenter, SubwordSampler
from nmt_cli.data.tokenizing.sentencepiece_model import (
    SentencePieceModel,
    add_word_start_piece,
    read_model,
    serialize_model,
    serialize_overrides,
    serialize_pieces,
)
from nmt_cli.data.tokenizing.sentencepiece_training import (
    ModelType,
    normalized_symbols,
    sample_lines,
    train_sentencepiece,
)
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.recipe.data import TokenizerSettings

_IDEMPOTENT_NORMALIZATIONS = ("identity", "nfkc", "nmt_nfkc")
"""SentencePiece normalisations that do not change text that nmt has already normalised."""
_MAX_FILE_SIZE = 256 * 2**20


class SentencePieceSegmenter:
    """A segmenter that is stored as a SentencePiece model."""

    name: ClassVar[str]
    reads_line_breaks: ClassVar[bool] = False
    _model_type: ClassVar[ModelType]
    _covers_all: ClassVar[bool] = False
    """Whether all characters or words become pieces, up to the vocabulary size, or fewer if the text has fewer."""

    def __init__(self, model: bytes) -> None:
        self.model = model
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        self.unk: int = self._processor.unk_id()
        if self.unk < 0:
            raise ModelError("is not a SentencePiece model, or is damaged")

    @classmethod
    def train(cls, settings: TokenizerSettings, num_special: int, lines: Iterable[str], seed: int) -> Self:
        num_pieces, covers_all = settings.vocabulary_size - num_special, cls._covers_all
        sentences = sample_lines(lines, seed)
        return cls(
            train_sentencepiece(
                settings, cls._model_type, num_pieces, sentences, allow_fewer=covers_all, covers_all=covers_all
            )
        )

    @property
    def pieces(self) -> Sequence[Piece]:
        return self._parsed.pieces

    @cached_property
    def _parsed(self) -> SentencePieceModel:
        return read_model(self.model)

    @property
    def can_cache_words(self) -> bool:
        model = self._parsed
        return (
            model.normalization == "identity"
            and not model.has_charsmap
            and model.escape_whitespaces
            and model.add_dummy_prefix
            and not model.treat_whitespace_as_suffix
            and not any(WORD_START in piece.text[1:] for piece in model.pieces)
        )

    @property
    def marks_first_word(self) -> bool:
        return self._parsed.add_dummy_prefix

    @property
    def unk_is_word(self) -> bool:
        return False

    @property
    def sentencepiece_model(self) -> bytes | None:
        return self.model

    def encode(self, lines: list[str], num_threads: int = -1) -> list[list[int]]:
        rows: list[list[int]] = self._processor.encode(lines, num_threads=num_threads)
        return rows

    def surfaces(self, line: str) -> list[str]:
        texts: list[str] = self._processor.encode(line, out_type=str)
        return texts

    def encode_fragments(self, texts: list[str]) -> list[list[int]]:
        overridden = self.model + serialize_overrides(add_dummy_prefix=False)
        rows: list[list[int]] = sentencepiece.SentencePieceProcessor(model_proto=overridden).encode(texts)
        return rows

    def decode(self, rows: list[list[int]]) -> list[str]:
        texts: list[str] = self._processor.decode(rows)
        return texts

    def decode_surfaces(self, surfaces: Sequence[str]) -> str:
        text: str = self._processor.decode_pieces(list(surfaces))
        return text

    def byte_fallback(self, text: str) -> list[int]:
        pieces = [self._processor.piece_to_id(f"<0x{byte:02X}>") for byte in text.encode()]
        return [self.unk] if self.unk in pieces else pieces

    def with_pieces(self, pieces: Sequence[Piece]) -> Self:
        return type(self)(self.model + serialize_pieces(pieces))

    def learn_pieces(self, word_counts: Mapping[str, int], num_pieces: int) -> list[Piece]:
        is_unigram = self._model_type == "unigram"
        characters = new_characters(self, word_counts, num_pieces, score_step=int(not is_unigram), only_needed=True)
        num_merges = num_pieces - len(characters)
        return characters + new_merges(self, characters, word_counts, num_merges, sum_scores=is_unigram)

    def sampler(self, alpha: float) -> SubwordSampler:
        if self._parsed.normalization not in _IDEMPOTENT_NORMALIZATIONS:
            raise RecipeError(
                "training.subword_sampling: is not supported by this tokenizer, which normalizes text itself"
            )
        table = PieceTable(self)
        is_bpe = self._model_type == "bpe"
        return WordwiseSampler(table, BpeDropout(table, alpha) if is_bpe else UnigramSampler(table, alpha))


class UnigramSegmenter(SentencePieceSegmenter):
    """The unigram language model (Kudo 2018)."""

    name: ClassVar[str] = "unigram"
    _model_type: ClassVar[ModelType] = "unigram"


class BpeSegmenter(SentencePieceSegmenter):
    """Byte-pair encoding of characters (Sennrich et al. 2016)."""

    name: ClassVar[str] = "bpe"
    _model_type: ClassVar[ModelType] = "bpe"


class CharacterSegmenter(SentencePieceSegmenter):
    """Each character is a piece."""

    name: ClassVar[str] = "character"
    _model_type: ClassVar[ModelType] = "char"
    _covers_all: ClassVar[bool] = True

    @property
    def can_cache_words(self) -> bool:
        return False

    def learn_pieces(self, word_counts: Mapping[str, int], num_pieces: int) -> list[Piece]:
        return new_characters(self, word_counts, num_pieces, score_step=1, only_needed=False)


class ByteSegmenter(CharacterSegmenter):
    """Each byte of UTF-8 is a piece: a SentencePiece character model of the space alone, with byte fallback."""

    name: ClassVar[str] = "byte"

    @classmethod
    def train(cls, settings: TokenizerSettings, num_special: int, lines: Iterable[str], seed: int) -> Self:
        num_pieces = 2 + 256 + len(normalized_symbols(settings))
        return cls(train_sentencepiece(settings, cls._model_type, num_pieces, [" "], covers_all=True))


class WordSegmenter(CharacterSegmenter):
    """Each frequent word is a piece; other words are ▁ and their bytes, or unknown if the model has no bytes."""

    name: ClassVar[str] = "word"
    _model_type: ClassVar[ModelType] = "word"

    @property
    def sentencepiece_model(self) -> bytes | None:
        return None

    @classmethod
    def train(cls, settings: TokenizerSettings, num_special: int, lines: Iterable[str], seed: int) -> Self:
        if settings.symbols:
            raise RecipeError("tokenizer.symbols: cannot be combined with algorithm word, which splits at spaces only")
        return super().train(settings, num_special + 1, lines, seed)  # the space is a piece, too

    @cached_property
    def unk_is_word(self) -> bool:
        return not any(piece.kind == PieceKind.BYTE for piece in self.pieces)

    @cached_property
    def _indices_by_text(self) -> dict[str, list[int]]:
        return {piece.text: [i] for i, piece in enumerate(self.pieces) if piece.kind == PieceKind.NORMAL}

    def encode(self, lines: list[str], num_threads: int = -1) -> list[list[int]]:
        return list(map(self._encode_line, lines))

    def _encode_line(self, line: str) -> list[int]:
        if not line:
            return []
        known = self._indices_by_text
        space, found = known.get(WORD_START, []), list[int]()  # an imported vocabulary may have no space
        for word in line.replace(WORD_START, " ").split(" "):
            if WORD_START + word in known:
                found += known[WORD_START + word]
            else:
                found += [self.unk] if self.unk_is_word else [*space, *self.byte_fallback(word)]
        return found

    def surfaces(self, line: str) -> list[str]:
        if not self.unk_is_word:
            return [self.pieces[index].text for index in self._encode_line(line)]
        return [WORD_START + word for word in line.replace(WORD_START, " ").split(" ")] if line else []

    def decode(self, rows: list[list[int]]) -> list[str]:
        if not self.unk_is_word:
            return super().decode(rows)
        texts = [piece.text for piece in self.pieces]
        texts[self.unk] = "⁇"
        return [self.decode_surfaces([texts[piece] for piece in row]) for row in rows]

    def decode_surfaces(self, surfaces: Sequence[str]) -> str:
        if not self.unk_is_word:
            return super().decode_surfaces(surfaces)
        return " ".join([surface.removeprefix(WORD_START) for surface in surfaces])

    def encode_fragments(self, texts: list[str]) -> list[list[int]]:
        return self.encode([text.removeprefix(WORD_START) for text in texts])

    def learn_pieces(self, word_counts: Mapping[str, int], num_pieces: int) -> list[Piece]:
        return new_words(self, word_counts, num_pieces)

    def sampler(self, alpha: float) -> SubwordSampler:
        raise RecipeError(
            "training.subword_sampling: is not supported by tokenizer.algorithm word, which splits text in only one way"
        )


SEGMENTERS: dict[str, type[Segmenter]] = {
    "unigram": UnigramSegmenter,
    "bpe": BpeSegmenter,
    "character": CharacterSegmenter,
    "byte": ByteSegmenter,
    "word": WordSegmenter,
    "byte_level_bpe": ByteLevelSegmenter,
}
"""By value of `tokenizer.algorithm`; `byte_level_bpe` only in imported models."""


def import_segmenter(path: Path) -> tuple[Segmenter, str]:
    """Read a SentencePiece model that another program trained.

    The model is changed to keep all spaces and to disable pieces that span several words.

    Returns:
        The segmenter, and the normalisation that its input needs.

    Raises:
        ModelError: The file is not such a model, or does not mark the beginnings of words.
    """
    try:
        if path.stat().st_size > _MAX_FILE_SIZE:
            raise ModelError(f"{path}: is too large to be a SentencePiece model")
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        model = read_model(content)
        SEGMENTERS[model.algorithm](content)
    except Exception as error:  # SentencePiece raises untyped errors
        raise ModelError(f"{path}: is not a SentencePiece model, or is damaged") from error
    if model.treat_whitespace_as_suffix or not model.escape_whitespaces:
        raise ModelError(f"{path}: is not supported, because it does not mark the beginnings of words")
    pieces = [replace(each, kind=PieceKind.UNUSED) if WORD_START in each.text[1:] else each for each in model.pieces]
    changed = serialize_model(replace(model, pieces=pieces)) + serialize_overrides(add_dummy_prefix=True)
    return SEGMENTERS[model.algorithm](add_word_start_piece(changed)), "nfkc" if model.has_charsmap else "none"
