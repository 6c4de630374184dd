"""Text ↔ token ids: a normalisation and, for each side, a segmenter and a vocabulary."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nmt_cli.data.tokenizing.segmenters import SEGMENTERS, import_segmenter
from nmt_cli.data.tokenizing.vocabulary import FACTORS, FactorValues, Vocabulary, are_factor_values, are_tag_ids
from nmt_cli.errors import ModelError
from nmt_cli.files import json_bytes, new_file, read_json, write_json
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.text.normalization import NORMALIZATIONS, one_line
from nmt_cli.text.special_tokens import SpecialTokens

_SETTINGS = "tokenizer.json"
_MAX_FILE_SIZE = 256 * 2**20
_SENTENCEPIECE_FILES = ("source.model", "target.model")


class Tokenizer:
    """Converts lists of lines to lists of token ids and back. A joint tokenizer has one vocabulary for both sides.

    >>> settings = TokenizerSettings(algorithm="character")
    >>> tokenizer = Tokenizer.train(settings, ["a cat"], ["eine Katze"], seed=1)
    >>> ids = tokenizer.encode_target(["  eine   Katze "])
    >>> [tokenizer.target.entries[i] for i in ids[0]]
    ['▁', 'e', 'i', 'n', 'e', '▁', 'K', 'a', 't', 'z', 'e']
    >>> tokenizer.decode_target(ids)
    ['eine Katze']

    Text always becomes ordinary tokens, even if it looks like a special token:

    >>> tokenizer.special_tokens.eos in tokenizer.encode_source(["</s>"])[0]
    False
    """

    def __init__(
        self,
        normalization: str,
        source: Vocabulary,
        target: Vocabulary,
        factors: FactorValues | None = None,
        copies: bool = False,
    ) -> None:
        """Use two vocabularies with the same special tokens, or the same vocabulary twice.

        Args:
            normalization: Key in NORMALIZATIONS.
            factors: Known values of the factors of source words.
            copies: Whether words that the target vocabulary lacks are copied from the source, see `oov`.
        """
        assert source.special_tokens == target.special_tokens
        self.normalization, self.source, self.target = normalization, source, target
        self.factors, self.copies = factors or FactorValues(), copies
        self.special_tokens = source.special_tokens
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
        """Learn from normalised lines. The same lines and seed give the same tokenizer on any machine.

        Args:
            tags: Names of tags; both sides have them, with the same ids.
        """
        texts = [chain(source, target)] if settings.joint else [source, target]
        vocabularies = [Vocabulary.train(settings, lines, seed, tags) for lines in texts]
        return cls(settings.normalization, vocabularies[0], vocabularies[-1])

    @classmethod
    def import_sentencepiece(cls, path: Path) -> "Tokenizer":
        """Read SentencePiece models from elsewhere: a file for both sides, or a folder with one for each.

        Their pieces follow nmt's special tokens, in the same order. The files' own, such as `<s>`, are left out.

        Raises:
            ModelError: A file is missing, is not such a model, or cannot be used.
        """
        files = [path] if path.is_file() else [path / name for name in _SENTENCEPIECE_FILES]
        segmenters, normalizations = zip(*map(import_segmenter, files), strict=True)
        vocabularies = list(map(Vocabulary.from_segmenter, segmenters))
        return cls("nfkc" if "nfkc" in normalizations else "none", vocabularies[0], vocabularies[-1])

    def with_factors(self, factors: FactorValues) -> "Tokenizer":
        """Return the tokenizer with these values of source factors."""
        return Tokenizer(self.normalization, self.source, self.target, factors, self.copies)

    def with_copies(self, is_pointing: bool) -> "Tokenizer":
        """Return the tokenizer of a model that can, or cannot, point at source tokens.

        Words are copied by ids of their own only where the target vocabulary lacks some.
        """
        copies = is_pointing and (self.source.has_unknown_text or not self.has_shared_ids)
        return Tokenizer(self.normalization, self.source, self.target, self.factors, copies)

    def with_tags(self, tags: Sequence[str]) -> "Tokenizer":
        """Return the tokenizer with these tags; those that it lacks are appended."""
        source = self.source.with_tags(tags)
        target = source if self.joint else self.target.with_tags(tags)
        return Tokenizer(self.normalization, source, target, self.factors, self.copies)

    @property
    def joint(self) -> bool:
        """Whether both sides have the same vocabulary."""
        return self.source is self.target

    @property
    def has_shared_ids(self) -> bool:
        """Whether both sides have the same entries, though perhaps other segmenters, so that embeddings can be tied."""
        return self.joint or self.source.entries == self.target.entries

    @property
    def source_columns(self) -> dict[str, tuple[int, ...]]:
        """For each source column: the number of values in each of its dimensions, 0 (none) included."""
        return {FACTORS: self.factors.sizes} if self.factors.names else {}

    @property
    def source_size(self) -> int:
        """Number of source ids."""
        return len(self.source)

    @property
    def target_size(self) -> int:
        """Number of target ids."""
        return len(self.target)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that determines the ids of a line."""
        digest = hashlib.sha256(self.normalization.encode())
        for side in (self.source, self.target):
            digest.update(hashlib.sha256(side.segmenter.model).digest())
            digest.update(hashlib.sha256(json_bytes(side.entries)).digest())
            if side.tags:
                digest.update(hashlib.sha256(json_bytes(side.tags)).digest())
        if self.factors.names:
            digest.update(hashlib.sha256(json_bytes([*self.factors.values.items()])).digest())
        if self.copies:
            digest.update(b"copies")
        digest.update(json_bytes(asdict(self.special_tokens)))
        return digest.hexdigest()

    def tag_id(self, name: str) -> int:
        """Return the id of a tag among source tokens; ModelError if there is no such tag."""
        return self.source.tag_id(name)

    def encode_source(self, lines: list[str]) -> list[list[int]]:
        """Return the ids of each line, without special tokens. Lines are normalised first, if they are not yet."""
        return self.source.encode([self.normalize(line) for line in lines])

    def encode_target(self, lines: list[str], oov: bool = False) -> list[list[int]]:
        """As `encode_source`, for the target side.

        Args:
            oov: Return words outside the vocabulary by ids of their own instead of unk.
        """
        lines = [self.normalize(line) for line in lines]
        if oov and (self.copies or self.target.has_unknown_text):
            return list(map(self.target.ids_of_texts, self.target.encode_as_text(lines)))
        return self.target.encode(lines)

    def encode_copies(self, lines: list[str]) -> list[list[int]]:
        """Return the target ids, also of words outside the vocabulary, as which the source tokens can be copied."""
        texts = self.source.encode_as_text([self.normalize(line) for line in lines])
        return list(map(self.target.ids_of_texts, texts))

    def decode_target(self, rows: list[list[int]]) -> list[str]:
        """Return the text of each row, always one line. Special tokens and tags are left out, but unk becomes ⁇."""
        texts, size = self.target.decode, self.target_size
        if any(row and max(row) >= size for row in rows):
            decode_oov = self.target.decode_oov
            return [one_line(decode_oov(row) if row and max(row) >= size else texts([row])[0]) for row in rows]
        return [one_line(text) for text in texts(rows)]

    def save(self, folder: Path) -> None:
        """Write into a folder: settings, and for each side the segmenter and the entries of the vocabulary."""
        folder.mkdir(parents=True, exist_ok=True)
        sides = {"joint": self.source} if self.joint else {"source": self.source, "target": self.target}
        for name, side in sides.items():
            with new_file(folder / f"{name}.model") as file:
                file.write(side.segmenter.model)
            write_json(folder / f"{name}.vocabulary.json", side.entries)
        settings = {
            "format": 3,
            "normalization": self.normalization,
            "special_tokens": asdict(self.special_tokens),
            "sides": {name: {"segmenter": side.segmenter.name, "tags": side.tags} for name, side in sides.items()},
            "factors": self.factors.values,
            "copies": self.copies,
        }
        write_json(folder / _SETTINGS, settings)

    @staticmethod
    def is_saved_in(folder: Path) -> bool:
        """Return whether a folder contains a saved tokenizer."""
        return (folder / _SETTINGS).is_file()

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Read a saved tokenizer; ModelError if it is missing or damaged."""
        path = folder / _SETTINGS
        match read_json(path, ModelError):
            case {
                "format": 3,
                "normalization": str(normalization),
                "special_tokens": dict(special),
                "sides": dict(sides),
                "factors": factors,
                **others,
            } if [*sides] in (["joint"], ["source", "target"]):
                pass
            case _:
                raise ModelError(f"{path}: is not a tokenizer of this version of nmt")
        if not are_factor_values(factors):
            raise ModelError(f"{path}: factors: must map names to lists of distinct values; the file is damaged")
        if normalization not in NORMALIZATIONS:
            raise ModelError(f"{path}: normalization: {normalization!r} is unknown")
        try:
            special_tokens = TypeAdapter(SpecialTokens).validate_python(special)
        except ValidationError as error:
            raise ModelError(f"{path}: special_tokens: must be {list(SpecialTokens.__annotations__)}") from error
        vocabularies = [_load_side(folder, name, side, special_tokens) for name, side in sides.items()]
        return cls(
            normalization, vocabularies[0], vocabularies[-1], FactorValues(factors), others.get("copies") is True
        )


def is_sentencepiece(path: Path) -> bool:
    """Return whether a path names SentencePiece models: a file, or a folder with a model for each side."""
    is_folder = not Tokenizer.is_saved_in(path) and all((path / name).is_file() for name in _SENTENCEPIECE_FILES)
    return path.is_file() or is_folder


def _load_side(folder: Path, name: str, side: Any, special_tokens: SpecialTokens) -> Vocabulary:
    settings_path, model, vocabulary = folder / _SETTINGS, folder / f"{name}.model", folder / f"{name}.vocabulary.json"
    for path in (model, vocabulary):
        if not path.is_file():
            raise ModelError(f"{path}: is missing")
        if path.stat().st_size > _MAX_FILE_SIZE:
            raise ModelError(f"{path}: is too large to belong to a tokenizer")
    entries = read_json(vocabulary, ModelError)
    if not isinstance(entries, list) or not all(isinstance(entry, str) and entry for entry in entries):
        raise ModelError(f"{vocabulary}: is not a list of strings that are not empty")
    if not isinstance(side, dict) or str(side.get("segmenter")) not in SEGMENTERS:
        raise ModelError(f"{settings_path}: the segmenter of {name} is unknown")
    if not all(type(i) is int and 0 <= i < len(entries) for i in special_tokens.ids):
        raise ModelError(f"{settings_path}: its special tokens are not in {vocabulary}")
    tags = side.get("tags")
    if not are_tag_ids(tags, len(entries), special_tokens):
        raise ModelError(f"{settings_path}: its tags are not in {vocabulary}")
    not_pieces = special_tokens.ids | set(tags.values())
    pieces = [entry for i, entry in enumerate(entries) if i not in not_pieces]
    if len(set(pieces)) != len(pieces):
        raise ModelError(f"{vocabulary}: has an entry twice")
    try:
        return Vocabulary(SEGMENTERS[side["segmenter"]](model.read_bytes()), entries, special_tokens, tags)
    except Exception as error:  # SentencePiece raises untyped errors
        raise ModelError(f"{model}: is not a model of the segmenter {side['segmenter']}, or is damaged") from error
