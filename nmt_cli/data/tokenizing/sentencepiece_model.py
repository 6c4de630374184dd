"""Train SentencePiece models on normalised text; read and change them without a protobuf library."""

import io
import random
import re
import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import sentencepiece

from nmt_cli.data.tokenizing.segmenter import WORD_START, Piece, PieceKind
from nmt_cli.errors import ModelError, RecipeError, VocabularySizeError
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.text.normalization import NORMALIZATIONS

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
"""Wire types."""
_PIECES, _TRAINER_SPEC, _NORMALIZER_SPEC = 1, 2, 3
"""Fields of a model."""
_UNK_SURFACE = "⁇".encode()
_ALGORITHMS = {1: "unigram", 2: "bpe", 3: "word", 4: "character"}

MAX_CHARACTERS = 50_000_000
"""Maximum size of the training sample. With it, unigram training needs less than 1.2 GiB of memory."""

CHARACTER_COVERAGE = 0.9995
"""Fraction of the characters of a text, counted with repetition, that get a piece if bytes stand for the others."""

_MAX_LINE_LENGTH = 1000
"""In characters. Longer lines are truncated, so that no single line outweighs all others."""

_THREADS = 16
"""Constant on all machines: the last digits of the sums in unigram training depend on it."""

_NUM_BYTES = 256

ModelType = Literal["unigram", "bpe", "char", "word"]


@dataclass(frozen=True)
class SentencePieceModel:
    """The fields of a SentencePiece model that nmt uses."""

    pieces: list[Piece]
    algorithm: str = "unigram"
    normalization: str = ""
    """Field `normalization_rule_name`."""
    charsmap: bytes = field(default=b"", repr=False)
    """Compiled rules by which the model's normalisation replaces characters."""
    add_dummy_prefix: bool = True
    """Whether the first word of a line is marked with ▁, too."""
    remove_extra_whitespaces: bool = True
    """Whether spaces at the ends, and all but one of consecutive ones, are removed."""
    escape_whitespaces: bool = True
    treat_whitespace_as_suffix: bool = False
    """Whether ▁ ends a word instead of beginning one."""
    rest: bytes = field(default=b"", repr=False)
    """The serialised model without its pieces."""

    @property
    def has_charsmap(self) -> bool:
        """Whether the model's normalisation replaces characters."""
        return bool(self.charsmap)


def read_model(content: bytes) -> SentencePieceModel:
    """Parse a serialised model; ModelError if it is damaged."""
    pieces, rest = [], []
    specs: dict[int, dict[int, int | bytes]] = {_TRAINER_SPEC: {}, _NORMALIZER_SPEC: {}}
    try:
        for field_id, value, serialized in _fields(content):
            if field_id == _PIECES and isinstance(value, bytes):
                pieces.append(_parse_piece(value))
                continue
            rest.append(serialized)
            if field_id in specs and isinstance(value, bytes):
                specs[field_id] |= {key: found for key, found, _ in _fields(value)}
        trainer, normalizer = specs[_TRAINER_SPEC], specs[_NORMALIZER_SPEC]
        return SentencePieceModel(
            pieces,
            _ALGORITHMS[int(trainer.get(3, 1))],
            bytes(normalizer.get(1, b"")).decode(),
            bytes(normalizer.get(2, b"")),
            bool(normalizer.get(3, 1)),
            bool(normalizer.get(4, 1)),
            bool(normalizer.get(5, 1)),
            bool(trainer.get(24, 0)),
            b"".join(rest),
        )
    except (IndexError, KeyError, TypeError, ValueError, struct.error) as error:
        raise ModelError("is not a SentencePiece model, or is damaged") from error


def serialize_model(model: SentencePieceModel) -> bytes:
    """Serialise a model. `model.pieces` may differ from the pieces it was read with."""
    return serialize_pieces(model.pieces) + model.rest


def serialize_pieces(pieces: Sequence[Piece]) -> bytes:
    """Return bytes that add pieces to a serialised model when they are appended to it."""
    return b"".join(_message(_PIECES, _serialize_piece(piece)) for piece in pieces)


def serialize_overrides(*, add_dummy_prefix: bool) -> bytes:
    """Return bytes that change the options of a serialised model when they are appended to it.

    The model then keeps all spaces, marks the first word of a line or not, and decodes the unknown piece as ⁇ without
    spaces around it.
    """
    unk_surface = _varint(44 << 3 | _BYTES) + _varint(len(_UNK_SURFACE)) + _UNK_SURFACE
    spaces = bytes([3 << 3 | _VARINT, add_dummy_prefix, 4 << 3 | _VARINT, False])
    return _message(_TRAINER_SPEC, unk_surface) + _message(_NORMALIZER_SPEC, spaces)


def _parse_piece(content: bytes) -> Piece:
    fields = {field_id: value for field_id, value, _ in _fields(content)}
    text, score, kind = fields.get(1, b""), fields.get(2, bytes(4)), fields.get(3, PieceKind.NORMAL)
    if not isinstance(text, bytes) or not isinstance(score, bytes):
        raise ValueError("a piece has fields of other types")
    return Piece(text.decode(), struct.unpack("<f", score)[0], PieceKind(int(kind)))


def _serialize_piece(piece: Piece) -> bytes:
    score = bytes([2 << 3 | _FIXED_32]) + struct.pack("<f", piece.score)
    return _message(1, piece.text.encode()) + score + bytes([3 << 3 | _VARINT, piece.kind])


def _message(field_id: int, content: bytes) -> bytes:
    return bytes([field_id << 3 | _BYTES]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes, bytes]]:
    """Yield the id, the value and the serialised form of each field of a message."""
    position = 0
    while position < len(content):
        start = position
        key, position = _read_varint(content, position)
        value: int | bytes
        if key & 7 == _VARINT:
            value, position = _read_varint(content, position)
        else:
            length = {_FIXED_64: 8, _FIXED_32: 4}.get(key & 7, 0)
            if key & 7 == _BYTES:
                length, position = _read_varint(content, position)
            elif not length:
                raise ValueError(f"unknown wire type {key & 7}")
            value, position = content[position : position + length], position + length
        if position > len(content):
            raise ValueError("truncated message")
        yield key >> 3, value, content[start:position]


def _read_varint(content: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
        if shift > 63:
            raise ValueError("varint too long")


def train_sentencepiece(
    settings: TokenizerSettings,
    model_type: ModelType,
    num_pieces: int,
    sentences: list[str],
    *,
    allow_fewer: bool = False,
    covers_all: bool = False,
) -> bytes:
    """Train a SentencePiece model that has ▁ as a piece, and return it serialised.

    Args:
        num_pieces: Number of pieces, including the unknown piece.
        allow_fewer: Whether the model may have fewer pieces if the text does not yield `num_pieces`.
        covers_all: Whether each character gets a piece.

    Raises:
        RecipeError: The text or the settings do not allow so many or so few pieces.
    """
    symbols, num_special = normalized_symbols(settings), settings.vocabulary_size - num_pieces
    needed = 2 + len(symbols) + (_NUM_BYTES if settings.byte_fallback else 0)
    if allow_fewer and num_pieces < needed:
        raise _too_small(num_special + needed)
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type=model_type,
            vocab_size=num_pieces,
            hard_vocab_limit=not allow_fewer,
            byte_fallback=settings.byte_fallback,
            user_defined_symbols=symbols,
            character_coverage=1.0 if covers_all else _character_coverage(settings, sentences),
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            max_sentence_length=4 * _MAX_LINE_LENGTH,  # in bytes; longer ones would be skipped silently
            unk_id=0,
            unk_surface="⁇",
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            num_threads=_THREADS,
            minloglevel=3,
        )
    except RuntimeError as error:
        raise _recipe_error(str(error), num_special) from error
    return add_word_start_piece(model.getvalue())


def sample_lines(lines: Iterable[str], seed: int) -> list[str]:
    """Return all lines, or a random sample with MAX_CHARACTERS at most; each line is equally probable."""
    rng, probability, num_characters = random.Random(seed), 1.0, 0
    kept, draws = list[str](), array("d")
    for line in lines:
        draw = rng.random()
        if draw < probability:
            kept.append(line[:_MAX_LINE_LENGTH])
            draws.append(draw)
            num_characters += len(kept[-1])
        while num_characters > MAX_CHARACTERS:
            probability *= 0.9
            kept = [line for line, draw in zip(kept, draws, strict=True) if draw < probability]
            draws = array("d", (draw for draw in draws if draw < probability))
            num_characters = sum(map(len, kept))
    return kept


def normalized_symbols(settings: TokenizerSettings) -> list[str]:
    """Return the recipe's symbols, normalised; RecipeError if one cannot occur in normalised text or is reserved."""
    normalize = NORMALIZATIONS[settings.normalization]
    symbols = list(dict.fromkeys(map(normalize, settings.symbols)))
    for symbol in symbols:
        if not symbol or " " in symbol:
            raise RecipeError(
                f"tokenizer.symbols: {' '.join(settings.symbols)}: a symbol becomes {symbol!r} when it is normalised;"
                " it must be characters without a space"
            )
        if symbol == "<unk>" or re.fullmatch("<0x[0-9A-F]{2}>", symbol):
            raise RecipeError(f"tokenizer.symbols: {symbol} is reserved by SentencePiece")
    return symbols


def add_word_start_piece(model: bytes) -> bytes:
    """Add the piece ▁ to a serialised model that does not have it."""
    pieces = read_model(model).pieces
    if any(piece.text == WORD_START for piece in pieces):
        return model
    return model + serialize_pieces([Piece(WORD_START, min(piece.score for piece in pieces) - 1)])


def _character_coverage(settings: TokenizerSettings, sentences: list[str]) -> float:
    """Return the fraction of the characters of the text, counted with repetition, that get a piece.

    The rarest characters are left to byte fallback. Without it, they become unknown if the alphabet is large.
    """
    if settings.byte_fallback:
        return CHARACTER_COVERAGE
    alphabet = set[str]().union(*sentences)
    return 1.0 if len(alphabet) <= settings.vocabulary_size // 4 else CHARACTER_COVERAGE


def _recipe_error(message: str, num_special: int) -> RecipeError:
    """Convert an error message of SentencePiece to a RecipeError that names the setting to change."""
    if largest := re.search(r"value <= (\d+)", message):
        possible = int(largest[1]) + num_special
        message = f"is too large for this text, which allows {possible} subwords at most; set it to {possible} or less"
        return VocabularySizeError(f"tokenizer.vocabulary_size: {message}", possible)
    if smallest := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return _too_small(int(smallest[1]) + num_special)
    return RecipeError(f"tokenizer: SentencePiece cannot learn subwords from this text: {message}")


def _too_small(needed: int) -> VocabularySizeError:
    message = f"is too small for this text, whose characters alone need {needed}; set it to {needed} or more"
    return VocabularySizeError(f"tokenizer.vocabulary_size: {message}", needed)
