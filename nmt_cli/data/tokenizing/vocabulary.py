"""Vocabularies: ids of tokens, and of the values of source factors, such as parts of speech."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from nmt_cli.data.arrays import Booleans, Integers
from nmt_cli.data.tokenizing.oov import oov_id, oov_text
from nmt_cli.data.tokenizing.segmenter import WORD_START, Piece, PieceKind, Segmenter, WordCache
from nmt_cli.data.tokenizing.segmenters import SEGMENTERS
from nmt_cli.errors import ModelError
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.text.special_tokens import DEFAULT_SPECIAL_TOKENS, SpecialTokens

SPECIAL_ENTRIES = ["<pad>", "<unk>", "<s>", "</s>"]
"""First entries of a new vocabulary, with the ids of DEFAULT_SPECIAL_TOKENS."""

FACTORS = "factors"
"""Name of the source column that contains the factors."""

MAX_VALUES = 2**16 - 1
"""Maximum number of values of a factor, as ids are stored in two bytes."""


class Vocabulary:
    """Maps normalised text to token ids and back. Ids are indices into `entries`.

    An entry is a special token, a tag, or a piece of the segmenter. Text never becomes a special token or a tag: a
    piece `</s>`, learned from text that contains these characters, has an id of its own.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        entries: list[str],
        special_tokens: SpecialTokens = DEFAULT_SPECIAL_TOKENS,
        tags: Mapping[str, int] | None = None,
    ) -> None:
        """Assign an id to each piece of the segmenter.

        Args:
            tags: Ids of the entries that are tags, by name.
        """
        self.segmenter, self.entries = segmenter, entries
        self.special_tokens, self.tags = special_tokens, dict(tags or {})
        self._ids_without_text = (special_tokens.ids - {special_tokens.unk}) | set(self.tags.values())
        not_pieces = special_tokens.ids | set(self.tags.values())
        self._ids_of_entries = ids = {entry: i for i, entry in enumerate(entries) if i not in not_pieces}
        texts = [piece.text for piece in segmenter.pieces]
        self._id_list = [ids.get(text, special_tokens.unk) for text in texts]
        self._id_list[segmenter.unk] = special_tokens.unk
        self.piece_ids: npt.NDArray[np.int32] = np.array(self._id_list, np.int32)
        """[P], id of each piece of the segmenter; unk if the piece is not an entry."""
        self._longest_piece = max(map(len, texts), default=1)
        self._piece_indices = [segmenter.unk] * len(entries)
        for piece, i in enumerate(self._id_list):
            self._piece_indices[i] = piece
        self._piece_indices[special_tokens.unk] = segmenter.unk

    @classmethod
    def train(
        cls, settings: TokenizerSettings, lines: Iterable[str], seed: int, tags: Sequence[str] = ()
    ) -> "Vocabulary":
        """Learn from normalised lines. Special tokens and tags count towards the size of the settings."""
        first = [*SPECIAL_ENTRIES, *map(_tag_entry, tags)]
        segmenter = SEGMENTERS[settings.algorithm].train(settings, len(first) - 1, lines, seed)
        pieces = [piece.text for i, piece in enumerate(segmenter.pieces) if i != segmenter.unk]
        tag_ids = {name: i for i, name in enumerate(tags, len(SPECIAL_ENTRIES))}
        return cls(segmenter, [*first, *pieces], DEFAULT_SPECIAL_TOKENS, tag_ids)

    @classmethod
    def from_segmenter(cls, segmenter: Segmenter) -> "Vocabulary":
        """Return a vocabulary of the special tokens and all pieces that text can contain, in the segmenter's order."""
        kinds = (PieceKind.NORMAL, PieceKind.USER_DEFINED, PieceKind.BYTE)
        return cls(segmenter, [*SPECIAL_ENTRIES, *(piece.text for piece in segmenter.pieces if piece.kind in kinds)])

    def __len__(self) -> int:
        return len(self.entries)

    def tag_id(self, name: str) -> int:
        """Return the id of a tag; ModelError if the vocabulary has no such tag."""
        if name not in self.tags:
            known = ", ".join(self.tags) or "no tags"
            raise ModelError(f"the tag {name} is not in this vocabulary, which has {known}")
        return self.tags[name]

    def with_tags(self, tags: Sequence[str]) -> "Vocabulary":
        """Return the vocabulary with the tags that it lacks appended."""
        new = [name for name in dict.fromkeys(tags) if name not in self.tags]
        if not new:
            return self
        tag_ids = {name: i for i, name in enumerate(new, len(self.entries))}
        return Vocabulary(
            self.segmenter, [*self.entries, *map(_tag_entry, new)], self.special_tokens, self.tags | tag_ids
        )

    def with_pieces(self, pieces: Sequence[Piece]) -> "Vocabulary":
        """Return the vocabulary with pieces appended."""
        entries = [*self.entries, *(piece.text for piece in pieces)]
        return Vocabulary(self.segmenter.with_pieces(pieces), entries, self.special_tokens, self.tags)

    @cached_property
    def word_starts(self) -> Integers:
        """[V], number of words that begin in each token: more than one in a token of several spaces.

        Raises:
            ModelError: The tokenizer is imported, and its tokens may span words.
        """
        pieces = [self.entries[i].lstrip(WORD_START) for i in self.ids_by_text(PieceKind.NORMAL).values()]
        if any(WORD_START in piece for piece in pieces):
            raise ModelError("the tokenizer of this model has tokens that span words, so its words cannot be found")
        starts = np.array([len(entry) - len(entry.lstrip(WORD_START)) for entry in self.entries])
        starts[self.special_tokens.unk] = self.segmenter.unk_is_word
        return starts

    @cached_property
    def begins_word(self) -> Booleans:
        """[V], whether each token begins a word. ModelError for an imported tokenizer that does not mark each word."""
        if not self.segmenter.marks_first_word or (self.word_starts > 1).any():
            raise ModelError("the tokenizer of this model does not mark each word, so its words cannot be found")
        return self.word_starts > 0

    @property
    def without_piece(self) -> set[int]:
        """Ids of entries without a piece, except special tokens and tags. Text never becomes these entries."""
        pieces, others = enumerate(self._piece_indices), self._ids_without_text | {self.special_tokens.unk}
        return {i for i, piece in pieces if piece == self.segmenter.unk and i not in others}

    def num_word_starts(self, token: int) -> int:
        """Return how many words begin in a token, which may be a word outside the vocabulary."""
        text = "" if token < len(self) else self.text_of(token)
        return len(text) - len(text.lstrip(WORD_START)) if text else int(self.word_starts[token])

    def ids_by_text(self, *kinds: PieceKind) -> dict[str, int]:
        """Return the ids of the pieces of some kinds by text, one kind after another."""
        return {
            piece.text: i
            for kind in kinds
            for piece, i in zip(self.segmenter.pieces, self._id_list, strict=True)
            if piece.kind == kind and i != self.special_tokens.unk
        }

    @cached_property
    def line_break(self) -> int | None:
        """Id of the byte that ends a line; None if the vocabulary has no bytes."""
        return self.ids_by_text(PieceKind.BYTE).get("<0x0A>")

    def byte_values(self) -> dict[int, int]:
        """Return the byte of each byte token, by id; the first one if a token of byte-level BPE has several."""
        return {i: int(text[3:5], 16) for text, i in self.ids_by_text(PieceKind.BYTE).items()}

    def min_tokens(self, line: str) -> int:
        """Return a lower bound of the number of tokens of a line without unknown tokens, without tokenizing it."""
        return len(line) // self._longest_piece

    def encode(self, lines: list[str]) -> list[list[int]]:
        """Return the ids of each line, without special tokens."""
        return self._ids(self.segmenter.encode(lines), lines)

    def encode_fragments(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of parts of words, which begin with ▁ only if they begin a word."""
        return self._ids(self.segmenter.encode_fragments(texts))

    @cached_property
    def _ids_of_unknown(self) -> dict[str, int]:
        """Ids of entries that are not pieces of this segmenter, but of the segmenter of the other side."""
        kinds = (PieceKind.NORMAL, PieceKind.USER_DEFINED, PieceKind.BYTE)
        others = {piece.text for piece in self.segmenter.pieces if piece.kind in kinds}
        without_text = self._ids_without_text | {self.special_tokens.unk}
        entries = {entry: i for i, entry in enumerate(self.entries) if i not in without_text and entry not in others}
        return {entry: i for entry, i in entries.items() if entry[:1] != "<"}  # `<mask>` and the like are not text

    def _ids(self, rows: list[list[int]], lines: Sequence[str] = ()) -> list[list[int]]:
        ids, unk = self._id_list, self.segmenter.unk
        found = [[ids[piece] for piece in row] for row in rows]
        for index, line in enumerate(lines):
            if unk in rows[index] and (known := self._ids_of_unknown):
                surfaces = zip(rows[index], self.segmenter.surfaces(line), strict=True)
                found[index] = [known.get(text, ids[piece]) if piece == unk else ids[piece] for piece, text in surfaces]
        return found

    def _encode_uncached(self, lines: list[str]) -> tuple[npt.NDArray[np.int32], Integers]:
        rows = self.segmenter.encode(lines, num_threads=1)
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        pieces = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
        ids = self.piece_ids[pieces]
        if self._ids_of_unknown and (pieces == self.segmenter.unk).any():
            ids = np.fromiter(chain.from_iterable(self._ids(rows, lines)), np.int32, len(pieces))
        return ids, lengths

    @cached_property
    def encode_batch(self) -> Callable[[list[str]], tuple[npt.NDArray[np.int32], Integers]]:
        """Returns the ids of all lines, one line after another, and the number of tokens of each line.

        Runs in one thread. Faster than `encode` for text whose words repeat.
        """
        return WordCache(self._encode_uncached).encode if self.segmenter.can_cache_words else self._encode_uncached

    def decode(self, rows: list[list[int]]) -> list[str]:
        """Return the text of each row. Special tokens and tags are left out, except unk, which becomes ⁇."""
        piece, without_text = self._piece_indices, self._ids_without_text
        return self.segmenter.decode([[piece[i] for i in row if i not in without_text] for row in rows])

    @property
    def has_unknown_text(self) -> bool:
        """Whether some text becomes unk."""
        return not self.byte_values()

    def encode_as_text(self, lines: list[str]) -> list[list[str]]:
        """Return the text of each token of each line: its entry, or for unk, the text that it replaces."""
        unk, entries, found = self.special_tokens.unk, self.entries, list[list[str]]()
        for line, row in zip(lines, self.encode(lines), strict=True):
            surfaces = self.segmenter.surfaces(line) if unk in row else row
            found.append([str(text) if i == unk else entries[i] for i, text in zip(row, surfaces, strict=True)])
        return found

    def ids_of_texts(self, texts: Iterable[str]) -> list[int]:
        """Return the id of the entry with each text, or the id of a word outside the vocabulary."""
        known, size = self._ids_of_entries, len(self)
        return [known[text] if text in known else oov_id(text, size) for text in texts]

    def decode_oov(self, row: Sequence[int]) -> str:
        """Return the text of a row that contains words outside the vocabulary."""
        unk, unknown = self.special_tokens.unk, WORD_START * self.segmenter.unk_is_word + "⁇"
        kept = (i for i in row if i not in self._ids_without_text)
        return self.segmenter.decode_surfaces([unknown if i == unk else self.text_of(i) for i in kept])

    def text_of(self, token: int) -> str:
        """Return the entry of a token, or the word if its id is that of a word outside the vocabulary."""
        return self.entries[token] if token < len(self) else oov_text(token, len(self))


def are_tag_ids(tags: Any, num_entries: int, special_tokens: SpecialTokens) -> TypeGuard[dict[str, int]]:
    """Return whether a value of unknown type maps names to ids of different entries that are not special tokens."""
    if not isinstance(tags, dict) or not all(type(i) is int for i in tags.values()):
        return False
    ids = set(tags.values())
    return len(ids) == len(tags) and ids.isdisjoint(special_tokens.ids) and all(0 <= i < num_entries for i in ids)


def _tag_entry(name: str) -> str:
    return f"<{name}>"


class FactorValues:
    """The known values of each factor, by name. The n-th value, counted from 1, has the id n.

    Id 0 stands for unknown values and for tokens that belong to no word.
    """

    def __init__(self, values: Mapping[str, Sequence[str]] | None = None) -> None:
        self.values = {name: list(known) for name, known in (values or {}).items()}
        self._ids = [{value: i for i, value in enumerate(each, 1)} for each in self.values.values()]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FactorValues) and [*self.values.items()] == [*other.values.items()]

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def learn(cls, counts: Mapping[str, Mapping[str, int]]) -> "FactorValues":
        """Return the MAX_VALUES most frequent values of each factor. `counts` are frequencies by factor and value."""
        return cls(
            {name: sorted(each, key=lambda value: (-each[value], value))[:MAX_VALUES] for name, each in counts.items()}
        )

    @property
    def names(self) -> list[str]:
        """Names of the factors."""
        return list(self.values)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of ids of each factor, 0 included."""
        return tuple(len(known) + 1 for known in self.values.values())

    def __len__(self) -> int:
        return len(self.values)

    def ids(self, values: Sequence[Iterable[str]]) -> list[list[int]]:
        """Return the id of each value, with one row of values per factor."""
        return [[known.get(value, 0) for value in row] for known, row in zip(self._ids, values, strict=True)]


def are_factor_values(values: Any) -> bool:
    """Return whether a value of unknown type maps names to lists of different values."""
    return isinstance(values, dict) and all(
        isinstance(known, list)
        and all(isinstance(value, str) for value in known)
        and len(set(known)) == len(known) <= MAX_VALUES
        for known in values.values()
    )
