"""What SentencePiece writes: its model, a protocol buffer, read and changed without its compiler."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from nmt_cli.errors import ModelError

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_PIECE, _TRAINER, _NORMALIZER = 1, 2, 3
_UNKNOWN = "⁇".encode()
_ALGORITHMS = {1: "unigram", 2: "bpe", 3: "word", 4: "character"}


class Kind(IntEnum):
    """What a piece is for."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    SYMBOL = 4
    """Given by the user, and never cut."""
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Entry:
    """A piece, as the model lists it."""

    text: str
    score: float
    kind: Kind = Kind.NORMAL


@dataclass(frozen=True)
class ModelFile:
    """A model, as far as it matters here."""

    entries: list[Entry]
    algorithm: str = "unigram"
    normalization: str = ""
    """SentencePiece's name for it."""
    has_charsmap: bool = False
    """Whether it changes characters."""
    marks_first_word: bool = True
    """Whether a line's first word is marked as one, too."""
    marks_spaces: bool = True
    marks_behind: bool = False
    """Whether the mark of a word stands at its end."""
    rest: bytes = field(default=b"", repr=False)
    """All but the pieces, as it was read."""


def read_model(content: bytes) -> ModelFile:
    """Read a serialised model; ModelError if it is damaged."""
    entries, rest = [], []
    said: dict[int, dict[int, int | bytes]] = {_TRAINER: {}, _NORMALIZER: {}}
    try:
        for number, value, whole in _fields(content):
            if number == _PIECE and isinstance(value, bytes):
                entries.append(_read_entry(value))
                continue
            rest.append(whole)
            if number in said and isinstance(value, bytes):
                said[number] |= {key: found for key, found, _ in _fields(value)}
        trainer, normalizer = said[_TRAINER], said[_NORMALIZER]
        return ModelFile(
            entries,
            _ALGORITHMS[int(trainer.get(3, 1))],
            bytes(normalizer.get(1, b"")).decode(),
            bool(normalizer.get(2, b"")),
            bool(normalizer.get(3, 1)),
            bool(normalizer.get(5, 1)),
            bool(trainer.get(24, 0)),
            b"".join(rest),
        )
    except (IndexError, KeyError, TypeError, ValueError, struct.error) as error:
        raise ModelError("is no SentencePiece model, or is damaged") from error


def written(model: ModelFile) -> bytes:
    """A serialised model again, with the pieces that it now has."""
    return more_entries(model.entries) + model.rest


def more_entries(entries: Sequence[Entry]) -> bytes:
    """What makes a serialised model have more pieces, if it is put at its end."""
    return b"".join(_message(_PIECE, _written_entry(entry)) for entry in entries)


def other_habits(*, first_word: bool) -> bytes:
    """What makes a serialised model have other habits, if it is put at its end.

    It keeps all spaces, marks a line's first word or not, and writes what is unknown without spaces around it.
    """
    unknown = _varint(44 << 3 | _BYTES) + _varint(len(_UNKNOWN)) + _UNKNOWN
    spaces = bytes([3 << 3 | _VARINT, first_word, 4 << 3 | _VARINT, False])
    return _message(_TRAINER, unknown) + _message(_NORMALIZER, spaces)


def _read_entry(content: bytes) -> Entry:
    text, score, kind = "", 0.0, Kind.NORMAL
    for number, value, whole in _fields(content):
        if number == 1 and isinstance(value, bytes):
            text = value.decode()
        elif number == 2:
            score = struct.unpack("<f", whole[-4:])[0]
        elif number == 3 and isinstance(value, int):
            kind = Kind(value)
    return Entry(text, score, kind)


def _written_entry(entry: Entry) -> bytes:
    score = bytes([2 << 3 | _FIXED_32]) + struct.pack("<f", entry.score)
    return _message(1, entry.text.encode()) + score + bytes([3 << 3 | _VARINT, entry.kind])


def _message(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes, bytes]]:
    """Each field of a message: its number, its value, and the bytes that it was written as."""
    place = 0
    while place < len(content):
        start = place
        key, place = _read_varint(content, place)
        value: int | bytes
        if key & 7 == _VARINT:
            value, place = _read_varint(content, place)
        else:
            length = {_FIXED_64: 8, _FIXED_32: 4}.get(key & 7, 0)
            if key & 7 == _BYTES:
                length, place = _read_varint(content, place)
            elif not length:
                raise ValueError(f"no field is of type {key & 7}")
            value, place = content[place : place + length], place + length
        if place > len(content):
            raise ValueError("the end is missing")
        yield key >> 3, value, content[start:place]


def _read_varint(content: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = content[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number, place
        if shift > 63:
            raise ValueError("a number is too long")
