"""Text ↔ token ids: a normalisation, and for each side a segmenter and a vocabulary."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from nmt_cli.data.tokenizing.factors import FACTORS, Factors, are_factors
from nmt_cli.data.tokenizing.subwords import SPECIAL, Piece, Subwords
from nmt_cli.errors import ModelError
from nmt_cli.files import json_bytes, new_file, read_json, write_json
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.text.normalization import NORMALIZATIONS, one_line
from nmt_cli.text.special_tokens import DEFAULT_SPECIAL_TOKENS

__all__ = ["Piece", "Subwords", "Tokenizer"]

_SETTINGS = "tokenizer.json"
_LARGEST_FILE = 256 * 2**20


class Tokenizer:
    """Lists of lines in, lists of token ids out, and back. Joint: both sides are the same object."""

    def __init__(self, normalization: str, source: Subwords, target: Subwords, factors: Factors | None = None) -> None:
        """`factors` are those of the source's words, if it has any."""
        self.normalization, self.source, self.target = normalization, source, target
        self.factors = factors or Factors()
        self.special_tokens = DEFAULT_SPECIAL_TOKENS
        self.normalize = NORMALIZATIONS[normalization]

    @classmethod
    def train(
        cls,
        settings: TokenizerSettings,
        source: Iterable[str],
        target: Iterable[str],
        seed: int,
        tags: Sequence[str] = (),
    ) -> "Tokenizer":
        """Learn from normalised lines; the same lines and seed give the same tokenizer on any machine.

        Both sides have the same `tags`, under the same ids.
        """
        if settings.joint:
            both = Subwords.train(settings, chain(source, target), seed, tags)
            return cls(settings.normalization, both, both)
        return cls(
            settings.normalization,
            Subwords.train(settings, source, seed, tags),
            Subwords.train(settings, target, seed, tags),
        )

    def with_factors(self, factors: Factors) -> "Tokenizer":
        """The same, for sources whose words have these factors."""
        return Tokenizer(self.normalization, self.source, self.target, factors)

    def with_tags(self, tags: Sequence[str]) -> "Tokenizer":
        """The same with these tags, too; those it lacks are put at the end."""
        source = self.source.with_tags(tags)
        target = source if self.joint else self.target.with_tags(tags)
        return Tokenizer(self.normalization, source, target, self.factors)

    @property
    def joint(self) -> bool:
        return self.source is self.target

    @property
    def source_columns(self) -> dict[str, tuple[int, ...]]:
        """Columns beside the source ids, by name: how many values each feature of a column has, 0 (none) included."""
        return {FACTORS: self.factors.sizes} if self.factors.names else {}

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
            if side.tags:
                digest.update(hashlib.sha256(json_bytes(side.tags)).digest())
        if self.factors.names:
            digest.update(hashlib.sha256(json_bytes([*self.factors.values.items()])).digest())
        return digest.hexdigest()

    def tag(self, name: str) -> int:
        """The id of a tag among source tokens; ModelError if there is none of this name."""
        return self.source.tag(name)

    def encode_source(self, lines: list[str]) -> list[list[int]]:
        """Ids of each line's subwords, without special tokens. Lines are normalised first; twice does no harm."""
        return self.source.encode([self.normalize(line) for line in lines])

    def encode_target(self, lines: list[str]) -> list[list[int]]:
        """As `encode_source`, for the target side."""
        return self.target.encode([self.normalize(line) for line in lines])

    def decode_target(self, rows: list[list[int]]) -> list[str]:
        """Text of each row, always one line; special tokens and tags are left out, unknown ones read ⁇."""
        return [one_line(text) for text in self.target.decode(rows)]

    def save(self, folder: Path) -> None:
        """Write into a folder: settings, and for each side the segmenter and the list of pieces."""
        folder.mkdir(parents=True, exist_ok=True)
        sides = {"joint": self.source} if self.joint else {"source": self.source, "target": self.target}
        for name, side in sides.items():
            with new_file(folder / f"{name}.model") as file:
                file.write(side.segmenter)
            write_json(folder / f"{name}.vocabulary.json", side.vocabulary)
        settings = {"format": 2, "normalization": self.normalization, "joint": self.joint}
        factors = {"factors": self.factors.values} if self.factors.names else {}
        tags = {"tags": {name: side.tags for name, side in sides.items()}}
        write_json(folder / _SETTINGS, settings | tags | factors)

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
                tags: dict[str, Any] = {}
            case {"format": 2, "normalization": str(normalization), "joint": bool(joint), "tags": dict(tags)}:
                pass
            case _:
                raise ModelError(f"{folder / _SETTINGS}: is not a tokenizer of this version of nmt")
        if not are_factors(factors := settings.get("factors", {})):
            raise ModelError(f"{folder / _SETTINGS}: its factors are not lists of values; it is damaged")
        if normalization not in NORMALIZATIONS:
            raise ModelError(f"{folder / _SETTINGS}: normalization {normalization!r} is unknown")
        sides = [
            _load_side(folder, name, tags.get(name, {})) for name in (["joint"] if joint else ["source", "target"])
        ]
        return cls(normalization, sides[0], sides[-1], Factors(factors))


def _load_side(folder: Path, name: str, tags: Any) -> Subwords:
    model, pieces = folder / f"{name}.model", folder / f"{name}.vocabulary.json"
    for path in (model, pieces):
        if not path.is_file():
            raise ModelError(f"{path}: is missing")
        if path.stat().st_size > _LARGEST_FILE:
            raise ModelError(f"{path}: is too large to belong to a tokenizer")
    vocabulary = read_json(pieces, ModelError)
    if not isinstance(vocabulary, list) or not all(isinstance(piece, str) for piece in vocabulary):
        raise ModelError(f"{pieces}: is not a list of pieces")
    if vocabulary[: len(SPECIAL)] != SPECIAL:
        raise ModelError(f"{pieces}: does not begin with {json.dumps(SPECIAL)}")
    if not _are_tags(tags, len(vocabulary)):
        raise ModelError(f"{folder / _SETTINGS}: its tags are not in {pieces}")
    no_pieces = {*range(len(SPECIAL)), *tags.values()}
    learned = [piece for number, piece in enumerate(vocabulary) if number not in no_pieces]
    if len(set(learned)) != len(learned):
        raise ModelError(f"{pieces}: has a piece twice")
    try:
        return Subwords(model.read_bytes(), vocabulary, tags)
    except Exception as error:  # SentencePiece raises whatever comes to hand
        raise ModelError(f"{model}: is no SentencePiece model, or is damaged") from error


def _are_tags(tags: Any, size: int) -> bool:
    """Whether each has a number of its own, which is not that of a special token."""
    if not isinstance(tags, dict) or not all(type(number) is int for number in tags.values()):
        return False
    return len({*tags.values()}) == len(tags) and all(len(SPECIAL) <= number < size for number in tags.values())
