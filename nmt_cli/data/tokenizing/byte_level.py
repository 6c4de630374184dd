"""Byte-level BPE (Radford et al. 2019), the tokenizer of GPT-2, RoBERTa and BART.

A line is split into runs of letters, digits, other signs and spaces, each with the space before it. The bytes of a run
are merged pair by pair, in the order in which the merges were learned. Any text can be encoded, and decoding the pieces
gives exactly that text.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import ClassVar, NoReturn, Self

import regex

from nmt_cli.data.tokenizing.segmenter import WORD_START, Piece, PieceKind, SubwordSampler
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.recipe.data import TokenizerSettings

_RUN = regex.compile(r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
_MAX_CACHED, _MAX_CACHED_LENGTH = 200_000, 40
"""Maximum number of runs whose pieces are cached, and their maximum length in characters; longer runs rarely repeat."""
_NO_SYMBOL = -1


def _byte_symbols() -> list[str]:
    """Return the printable character that stands for each byte in vocabularies and merges."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(0x100)]


_SYMBOLS = _byte_symbols()
_BYTES = {symbol: byte for byte, symbol in enumerate(_SYMBOLS)}
_TO_LATIN1 = str.maketrans({symbol: chr(byte) for symbol, byte in _BYTES.items()})
_NOT_CHARACTERS = regex.compile(f"[{WORD_START}\udc80-\udcff]")


def piece_text(spelled: str) -> str:
    """Return the text of a piece that is spelled with a printable character for each byte, as in `vocab.json`.

    Spaces become ▁. Bytes that are not a character of their own, and those of ▁ itself, become `<0xE2>` and the like.
    Names with other characters, such as special tokens, stay as they are.
    """
    if not _BYTES.keys() >= set(spelled):
        return spelled
    text = spelled.translate(_TO_LATIN1).encode("latin-1").decode("utf-8", "surrogateescape")
    escaped: str = _NOT_CHARACTERS.sub(_escape, text)
    return escaped.replace(" ", WORD_START)


def _escape(found: regex.Match[str]) -> str:
    return "".join(f"<0x{byte:02X}>" for byte in found[0].encode("utf-8", "surrogateescape"))


def serialize_byte_level(merges: Iterable[Sequence[str]], add_prefix_space: bool) -> bytes:
    """Return the model of a byte-level BPE.

    Args:
        merges: Pairs of spelled pieces, in the order in which they were learned.
        add_prefix_space: Whether lines are encoded with a space before them.
    """
    header = json.dumps({"add_prefix_space": add_prefix_space})
    return "\n".join([header, *(f"{left} {right}" for left, right in merges)]).encode() + b"\n"


class ByteLevelSegmenter:
    """Byte-level BPE with the rules of GPT-2. A model has a line with its settings in JSON, then one merge per line."""

    name: ClassVar[str] = "byte_level_bpe"
    unk = 0
    reads_line_breaks: ClassVar[bool] = True

    def __init__(self, model: bytes) -> None:
        self.model = model
        header, *merges = model.decode().removesuffix("\n").split("\n")
        self._add_prefix_space = bool(json.loads(header)["add_prefix_space"])
        spelled = ["<unk>", *_SYMBOLS]
        indices = {symbol: i for i, symbol in enumerate(spelled) if i}
        self._merges = dict[tuple[int, int], tuple[int, int]]()
        """For each pair of pieces, the rank of its merge, and the merged piece."""
        for rank, merge in enumerate(merges):
            left, right = merge.split(" ")
            if left not in indices or right not in indices:
                raise ModelError(f"merge {rank + 1}, {merge!r}: joins pieces that no earlier merge makes")
            if left + right not in indices:
                indices[left + right] = len(spelled)
                spelled.append(left + right)
            merged = indices[left + right]
            self._merges.setdefault((indices[left], indices[right]), (rank, merged))
        self.spelled: Sequence[str] = spelled
        """All pieces with a printable character for each byte, except the unknown piece."""
        self._bytes = ["⁇".encode(), *(each.translate(_TO_LATIN1).encode("latin-1") for each in spelled[1:])]
        self.pieces: Sequence[Piece] = [Piece("<unk>", 0.0, PieceKind.UNKNOWN), *map(_piece, spelled[1:])]
        self._cache = dict[str, list[int]]()

    @classmethod
    def train(cls, settings: TokenizerSettings, num_special: int, lines: Iterable[str], seed: int) -> Self:
        raise RecipeError("tokenizer.algorithm: byte_level_bpe can only be imported")

    @property
    def can_cache_words(self) -> bool:
        return False

    @property
    def marks_first_word(self) -> bool:
        return self._add_prefix_space

    @property
    def unk_is_word(self) -> bool:
        return False

    @property
    def sentencepiece_model(self) -> bytes | None:
        return None

    def encode(self, lines: list[str], num_threads: int = -1) -> list[list[int]]:
        if self._add_prefix_space:
            lines = [line if line[:1] in ("", " ") else f" {line}" for line in lines]
        if len(self._cache) > _MAX_CACHED:
            self._cache.clear()
        return [[piece for run in self._runs(line) for piece in run] for line in lines]

    def _runs(self, line: str) -> Iterator[list[int]]:
        cache = self._cache
        for run in _RUN.findall(line):
            if (found := cache.get(run)) is None:
                found = self._merge([1 + byte for byte in run.encode("utf-8", "replace")])
                if len(run) <= _MAX_CACHED_LENGTH:
                    cache[run] = found
            yield found

    def _merge(self, symbols: list[int]) -> list[int]:
        """Apply all merges to pieces, in the order in which they were learned, and equal ones from left to right."""
        merges, count = self._merges, len(symbols)
        following, preceding = [*range(1, count), _NO_SYMBOL], [*range(-1, count - 1)]
        heap = [(merges[pair][0], i) for i, pair in enumerate(pairwise(symbols)) if pair in merges]
        heapify(heap)
        while heap:
            rank, left = heappop(heap)
            right = following[left]
            if right == _NO_SYMBOL or merges.get((symbols[left], symbols[right]), (_NO_SYMBOL,))[0] != rank:
                continue  # one of the two pieces has been merged with another one
            symbols[left] = merges[symbols[left], symbols[right]][1]
            symbols[right] = _NO_SYMBOL
            following[left] = following[right]
            if following[left] != _NO_SYMBOL:
                preceding[following[left]] = left
            for first, second in ((preceding[left], left), (left, following[left])):
                if _NO_SYMBOL not in (first, second) and (symbols[first], symbols[second]) in merges:
                    heappush(heap, (merges[symbols[first], symbols[second]][0], first))
        return [symbol for symbol in symbols if symbol != _NO_SYMBOL]

    def surfaces(self, line: str) -> list[str]:
        return [self.pieces[piece].text for piece in self.encode([line])[0]]

    def encode_fragments(self, texts: list[str]) -> list[list[int]]:
        spaced = (f" {text[1:]}" if text.startswith(WORD_START) else text for text in texts)
        return [[piece for run in self._runs(text) for piece in run] for text in spaced]

    def decode(self, rows: list[list[int]]) -> list[str]:
        """Return the text of each row of pieces; bytes that are not UTF-8 become U+FFFD."""
        texts = [b"".join([self._bytes[piece] for piece in row]).decode("utf-8", "replace") for row in rows]
        return [text.removeprefix(" ") for text in texts] if self._add_prefix_space else texts

    def decode_surfaces(self, surfaces: Sequence[str]) -> str:
        raise NotImplementedError("no text is unknown to this segmenter")

    def byte_fallback(self, text: str) -> list[int]:
        return self.encode_fragments([text])[0]

    def with_pieces(self, pieces: Sequence[Piece]) -> Self:
        _refuse("tokenizer.extension")

    def learn_pieces(self, word_counts: Mapping[str, int], num_pieces: int) -> list[Piece]:
        _refuse("tokenizer.extension")

    def sampler(self, alpha: float) -> SubwordSampler:
        _refuse("training.subword_sampling")


def _piece(spelled: str) -> Piece:
    text = piece_text(spelled)
    is_partial = text.startswith("<0x") and not spelled.startswith("<0x")
    return Piece(text, 0.0, PieceKind.BYTE if is_partial else PieceKind.NORMAL)


def _refuse(setting: str) -> NoReturn:
    raise RecipeError(f"{setting}: is not supported by this model's tokenizer, byte-level BPE")
