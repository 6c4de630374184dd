"""One side of a tokenizer: SentencePiece cuts text into pieces, a vocabulary numbers them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import numpy.typing as npt
import sentencepiece

from nmt_cli.data.tokenizing.model_file import Entry, Kind, ModelFile, more_entries, other_habits, read_model
from nmt_cli.data.tokenizing.segmenter_training import train_segmenter
from nmt_cli.data.tokenizing.word_cache import WordCache
from nmt_cli.errors import ModelError
from nmt_cli.recipe.data import TokenizerSettings

SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]
"""The first entries of each vocabulary; their numbers are the same everywhere."""

_UNKNOWN = SPECIAL.index("<unk>")
_SILENT = {number for number in range(len(SPECIAL)) if number != _UNKNOWN}


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
    first four are the special tokens; others may be tags. No text can reach either: a piece `</s>`,
    learned from text that contains these characters, has a number of its own.
    """

    def __init__(self, segmenter: bytes, vocabulary: list[str], tags: Mapping[str, int] | None = None) -> None:
        """`tags` say which entries are tags, by name."""
        self.segmenter, self.vocabulary, self.tags = segmenter, vocabulary, dict(tags or {})
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=segmenter)
        self._silent = _SILENT | set(self.tags.values())
        no_piece, size = {*range(len(SPECIAL)), *self.tags.values()}, self._processor.get_piece_size()
        numbers = {piece: number for number, piece in enumerate(vocabulary) if number not in no_piece}
        self._number = [numbers.get(self._processor.id_to_piece(i), _UNKNOWN) for i in range(size)]
        self._number[self._processor.unk_id()] = _UNKNOWN
        self._numbers = np.array(self._number, np.int32)
        self._longest = max((len(self._processor.id_to_piece(i)) for i in range(size)), default=1)
        self._known: dict[str, list[int]] = {}
        self._piece = [self._processor.unk_id()] * len(vocabulary)
        for piece, number in enumerate(self._number):
            self._piece[number] = piece
        self._piece[_UNKNOWN] = self._processor.unk_id()

    @classmethod
    def train(
        cls, settings: TokenizerSettings, lines: Iterable[str], seed: int, tags: Sequence[str] = ()
    ) -> "Subwords":
        """Learn from normalised lines; special tokens and tags are among the size that the settings say."""
        first = [*SPECIAL, *map(_written, tags)]
        segmenter = train_segmenter(settings, settings.vocabulary_size - len(first) + 1, lines, seed)
        processor = sentencepiece.SentencePieceProcessor(model_proto=segmenter)
        learned = range(processor.get_piece_size())
        pieces = [processor.id_to_piece(i) for i in learned if i != processor.unk_id()]
        return cls(segmenter, [*first, *pieces], {name: number for number, name in enumerate(tags, len(SPECIAL))})

    def tag(self, name: str) -> int:
        """The number of a tag; ModelError if there is none of this name."""
        if name not in self.tags:
            known = ", ".join(self.tags) or "no tags at all"
            raise ModelError(f"the tag {name} is not in this vocabulary, which has {known}")
        return self.tags[name]

    def with_tags(self, tags: Sequence[str]) -> "Subwords":
        """The same with these tags, too; those it lacks are put at the end."""
        new = [name for name in dict.fromkeys(tags) if name not in self.tags]
        if not new:
            return self
        numbers = {name: number for number, name in enumerate(new, len(self.vocabulary))}
        return Subwords(self.segmenter, [*self.vocabulary, *map(_written, new)], self.tags | numbers)

    def with_pieces(self, entries: Sequence[Entry]) -> "Subwords":
        """The same with these pieces, too; they are put at the end."""
        vocabulary = [*self.vocabulary, *(entry.text for entry in entries)]
        return Subwords(self.segmenter + more_entries(entries), vocabulary, self.tags)

    @cached_property
    def begins_word(self) -> npt.NDArray[np.bool_]:
        """By number: whether a piece begins a word. Each word begins with one, and no piece reaches into two."""
        assert "▁" in self.vocabulary and not any("▁" in piece[1:] for piece in self.vocabulary)
        return np.array([piece.startswith("▁") for piece in self.vocabulary])

    @cached_property
    def algorithm(self) -> str:
        """How text is cut: unigram, bpe, character (bytes are such, too) or word."""
        return self._model.algorithm

    @property
    def changes_text(self) -> bool:
        """Whether other text is cut than is given, such as its small letters; some models from elsewhere do that."""
        return self._model.normalization not in ("identity", "nfkc", "nmt_nfkc")

    def byte_values(self) -> dict[int, int]:
        """By number: the byte that a piece stands for, if it does."""
        pieces = [i for i, number in enumerate(self._number) if self._processor.is_byte(i) and number != _UNKNOWN]
        return {self._number[i]: int(self._processor.id_to_piece(i)[3:5], 16) for i in pieces}

    def pieces(self) -> list[Piece]:
        """What text is cut into, in the segmenter's order; not symbols, nor what spells the rest: bytes, unknown."""
        return self._of_kind(Kind.NORMAL)

    def symbols(self) -> list[Piece]:
        """What is a piece of its own wherever it stands, and never cut."""
        return self._of_kind(Kind.SYMBOL)

    @cached_property
    def _model(self) -> ModelFile:
        return read_model(self.segmenter)

    def _of_kind(self, kind: Kind) -> list[Piece]:
        entries = zip(self._model.entries, self._number, strict=True)
        return [Piece(entry.text, entry.score, number) for entry, number in entries if entry.kind == kind]

    def spell(self, text: str) -> list[int]:
        """The tokens of characters that no piece holds: their bytes, or an unknown token for all together."""
        pieces = [self._processor.piece_to_id(f"<0x{byte:02X}>") for byte in text.encode()]
        if self._processor.unk_id() in pieces:
            return [_UNKNOWN]
        return [self._number[piece] for piece in pieces]

    def fewest(self, line: str) -> int:
        """How many known tokens it takes at least to write `line`, found without cutting it."""
        return len(line) // self._longest

    def encode(self, lines: list[str]) -> list[list[int]]:
        """Ids of each line's pieces."""
        if self.algorithm == "word":
            return list(map(self._known_words, lines))
        number = self._number
        return [[number[piece] for piece in row] for row in self._processor.encode(lines)]

    def encode_parts(self, texts: list[str]) -> list[list[int]]:
        """Ids of what parts of words are cut into: in them the beginning of a word is marked by ▁, if there is one."""
        if self.algorithm == "word":
            return [self._known_words(text.removeprefix("▁")) for text in texts]
        known = sentencepiece.SentencePieceProcessor(model_proto=self.segmenter + other_habits(first_word=False))
        return [[self._number[piece] for piece in row] for row in known.encode(texts)]

    def encode_flat(self, lines: list[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """As `encode`, but the ids of all lines one after another, and how many each line has; in one thread."""
        return self._cache.encode(lines) if self._cuts_words_apart else self._cut(lines)

    def _cut(self, lines: list[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """The same, not word by word."""
        of_words = self.algorithm == "word"
        rows = self.encode(lines) if of_words else self._processor.encode(lines, num_threads=1)
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        tokens = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
        return tokens if of_words else self._numbers[tokens], lengths

    @cached_property
    def _cuts_words_apart(self) -> bool:
        """Whether each word of a line is cut as it would be alone."""
        model = self._model
        plain = model.normalization == "identity" and not model.has_charsmap and model.marks_spaces
        begins = model.marks_first_word and not model.marks_behind
        return (
            self.algorithm in ("unigram", "bpe")
            and plain
            and begins
            and not any("▁" in entry.text[1:] for entry in model.entries)
        )

    @cached_property
    def _cache(self) -> WordCache:
        return WordCache(self._cut)

    def _known_words(self, line: str) -> list[int]:
        """Each word, or a space and how the word is spelled. SentencePiece makes one of all that are unknown."""
        if not line:
            return []
        if not self._known:
            self._known = {piece.text: [piece.number] for piece in self.pieces()}
        space, found = self._known["▁"], []
        for word in line.replace("▁", " ").split(" "):
            found += self._known.get(f"▁{word}") or [*space, *self.spell(word)]
        return found

    def decode(self, rows: list[list[int]]) -> list[str]:
        """Text of each row; special tokens and tags say nothing, but the unknown one reads ⁇."""
        piece, silent = self._piece, self._silent
        decoded: list[str] = self._processor.decode([[piece[i] for i in row if i not in silent] for row in rows])
        return decoded


def _written(tag: str) -> str:
    """How a vocabulary writes a tag."""
    return f"<{tag}>"
