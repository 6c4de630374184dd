"""SentencePiece model files: a protocol buffer, read and changed without a protobuf library."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nmt_cli.data.tokenizing.segmenter import Piece, PieceKind
from nmt_cli.errors import ModelError

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
"""Wire types."""
_PIECES, _TRAINER_SPEC, _NORMALIZER_SPEC = 1, 2, 3
"""Fields of a model."""
_UNK_SURFACE = "⁇".encode()
_ALGORITHMS = {1: "unigram", 2: "bpe", 3: "word", 4: "character"}


@dataclass(frozen=True)
class SentencePieceModel:
    """The parts of a model that are used here."""

    pieces: list[Piece]
    algorithm: str = "unigram"
    normalization: str = ""
    """normalization_rule_name"""
    has_charsmap: bool = False
    """Whether it maps characters to others."""
    add_dummy_prefix: bool = True
    """Whether the first word of a line is marked with ▁, too."""
    escape_whitespaces: bool = True
    treat_whitespace_as_suffix: bool = False
    """Whether ▁ ends a word instead of beginning one."""
    rest: bytes = field(default=b"", repr=False)
    """The serialised model without its pieces."""


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
            bool(normalizer.get(2, b"")),
            bool(normalizer.get(3, 1)),
            bool(normalizer.get(5, 1)),
            bool(trainer.get(24, 0)),
            b"".join(rest),
        )
    except (IndexError, KeyError, TypeError, ValueError, struct.error) as error:
        raise ModelError("is not a SentencePiece model, or is damaged") from error


def serialize_model(model: SentencePieceModel) -> bytes:
    """Serialise a model with its present pieces."""
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
    text, score, kind = "", 0.0, PieceKind.NORMAL
    for field_id, value, serialized in _fields(content):
        if field_id == 1 and isinstance(value, bytes):
            text = value.decode()
        elif field_id == 2:
            score = struct.unpack("<f", serialized[-4:])[0]
        elif field_id == 3 and isinstance(value, int):
            kind = PieceKind(value)
    return Piece(text, score, kind)


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
