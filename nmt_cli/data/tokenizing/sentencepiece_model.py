"""Read, change and write SentencePiece models without a protobuf library."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nmt_cli.data.tokenizing.segmenter import WORD_START, Piece, PieceKind
from nmt_cli.errors import ModelError

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
"""Wire types."""
_PIECES, _TRAINER_SPEC, _NORMALIZER_SPEC = 1, 2, 3
"""Fields of a model."""
_UNK_SURFACE = "⁇".encode()
_ALGORITHMS = {1: "unigram", 2: "bpe", 3: "word", 4: "character"}


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
    """Whether the first word of a line is also marked with ▁."""
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
            _bytes_field(normalizer, 1).decode(),
            _bytes_field(normalizer, 2),
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
    spaces = _flag(3, add_dummy_prefix) + _flag(4, False)
    return _message(_TRAINER_SPEC, _message(44, _UNK_SURFACE)) + _message(_NORMALIZER_SPEC, spaces)


def serialize_settings(
    algorithm: str,
    *,
    charsmap: bytes = b"",
    add_dummy_prefix: bool = True,
    remove_extra_whitespaces: bool = False,
    byte_fallback: bool = False,
) -> bytes:
    """Return the settings of a model, which form a complete model when appended to serialised pieces.

    The unknown piece is decoded as ⁇ without spaces around it.
    """
    model_type = next(key for key, name in _ALGORITHMS.items() if name == algorithm)
    trainer = [_flag(3, model_type), _message(44, _UNK_SURFACE), _flag(35, byte_fallback)]
    normalizer = [_message(1, b"custom" if charsmap else b"identity"), _message(2, charsmap)]
    normalizer += [_flag(3, add_dummy_prefix), _flag(4, remove_extra_whitespaces)]
    return _message(_TRAINER_SPEC, b"".join(trainer)) + _message(_NORMALIZER_SPEC, b"".join(normalizer))


def add_word_start_piece(model: bytes) -> bytes:
    """Add the piece ▁ to a serialised model that does not have it."""
    pieces = read_model(model).pieces
    if any(piece.text == WORD_START for piece in pieces):
        return model
    return model + serialize_pieces([Piece(WORD_START, min(piece.score for piece in pieces) - 1)])


def _bytes_field(fields: Mapping[int, int | bytes], field_id: int) -> bytes:
    value = fields.get(field_id, b"")
    if not isinstance(value, bytes):
        raise ValueError(f"field {field_id} has another type")
    return value


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
    return _varint(field_id << 3 | _BYTES) + _varint(len(content)) + content


def _flag(field_id: int, value: int) -> bytes:
    return _varint(field_id << 3 | _VARINT) + _varint(value)


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
