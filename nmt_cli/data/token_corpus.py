"""A prepared corpus on disk: token arrays, memory-mapped, and the normalised text beside them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nmt_cli.data.corpora import Tally
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import DataError
from nmt_cli.text.lines import read_lines

_PAIRS_AT_ONCE = 10_000

Integers = npt.NDArray[np.int64]


class TokenLines:
    """One side: line i is tokens[offsets[i]:offsets[i+1]]."""

    def __init__(self, folder: Path, side: str, vocabulary_size: int) -> None:
        self._text = folder / f"{side}.txt"
        self.offsets: Integers = np.fromfile(folder / f"{side}.offsets", dtype="<i8")
        tokens = folder / f"{side}.bin"
        kind = _token_type(vocabulary_size)
        if not self.offsets.size or self.offsets[-1] * kind.itemsize != tokens.stat().st_size:
            raise DataError(f"{tokens}: does not fit its offsets; run `nmt preprocess` again")
        self.tokens: npt.NDArray[Any] = np.empty(0, kind)
        if self.offsets[-1]:
            self.tokens = np.asarray(np.memmap(tokens, kind, "r"))

    @cached_property
    def lengths(self) -> Integers:
        return np.diff(self.offsets)

    def __getitem__(self, line: int) -> npt.NDArray[Any]:
        return self.tokens[self.offsets[line] : self.offsets[line + 1]]

    def text(self) -> list[str]:
        return list(read_lines(self._text))


class TokenCorpus:
    """Pairs of token lines, without special tokens, and their text."""

    def __init__(self, folder: Path, source_size: int, target_size: int) -> None:
        self.name = folder.name
        self.sources = TokenLines(folder, "source", source_size)
        self.targets = TokenLines(folder, "target", target_size)
        if self.sources.offsets.size != self.targets.offsets.size:
            raise DataError(f"{folder}: its sides have different numbers of lines; run `nmt preprocess` again")

    def __len__(self) -> int:
        return self.sources.offsets.size - 1

    @property
    def source_lengths(self) -> Integers:
        """Tokens of each source, the end token not counted."""
        return self.sources.lengths

    @property
    def target_lengths(self) -> Integers:
        """Tokens of each target, the end token not counted."""
        return self.targets.lengths

    def source(self, pair: int) -> npt.NDArray[Any]:
        return self.sources[pair]

    def target(self, pair: int) -> npt.NDArray[Any]:
        return self.targets[pair]

    def source_text(self) -> list[str]:
        """All sources, normalised."""
        return self.sources.text()

    def target_text(self) -> list[str]:
        """All targets, normalised."""
        return self.targets.text()


@dataclass(frozen=True)
class TokenCounts:
    """Tokens of each side of a corpus, end tokens not counted."""

    source: int
    target: int


def write_corpus(
    folder: Path, pairs: Iterable[tuple[str, str]], tokenizer: Tokenizer, max_length: float, tally: Tally
) -> TokenCounts:
    """Cut normalised pairs into tokens and fill `folder`; those with a longer side are counted as `too_long`."""

    def may_fit(pair: tuple[str, str]) -> bool:  # a line of megabytes is not worth cutting
        return max(tokenizer.source.fewest(pair[0]), tokenizer.target.fewest(pair[1])) <= max_length

    folder.mkdir(parents=True, exist_ok=True)
    remaining = iter(pairs)
    with (
        _SideWriter(folder, "source", tokenizer.source_size) as source,
        _SideWriter(folder, "target", tokenizer.target_size) as target,
    ):
        while some := list(islice(remaining, _PAIRS_AT_ONCE)):
            fitting = list(filter(may_fit, some))
            source_rows = tokenizer.encode_source([pair[0] for pair in fitting])
            target_rows = tokenizer.encode_target([pair[1] for pair in fitting])
            lengths = map(max, map(len, source_rows), map(len, target_rows))
            kept = [number for number, length in enumerate(lengths) if length <= max_length]
            source.write([fitting[number][0] for number in kept], [source_rows[number] for number in kept])
            target.write([fitting[number][1] for number in kept], [target_rows[number] for number in kept])
            tally.drop("too_long", len(some) - len(kept))
    return TokenCounts(source.tokens, target.tokens)


class _SideWriter:
    """Appends lines to the three files of one side."""

    def __init__(self, folder: Path, side: str, vocabulary_size: int) -> None:
        self.tokens = 0
        self._type = _token_type(vocabulary_size)
        self._token_file = (folder / f"{side}.bin").open("wb")
        self._offset_file = (folder / f"{side}.offsets").open("wb")
        self._text_file = (folder / f"{side}.txt").open("wb")
        self._offset_file.write(np.zeros(1, "<i8").tobytes())

    def __enter__(self) -> "_SideWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        for file in (self._token_file, self._offset_file, self._text_file):
            file.close()

    def write(self, lines: list[str], rows: list[list[int]]) -> None:
        ends = self.tokens + np.cumsum([len(row) for row in rows], dtype="<i8")
        self._offset_file.write(ends.tobytes())
        self._token_file.write(np.fromiter(chain.from_iterable(rows), self._type).tobytes())
        self._text_file.write("".join(f"{line}\n" for line in lines).encode())
        self.tokens += sum(map(len, rows))


def _token_type(vocabulary_size: int) -> np.dtype[Any]:
    return np.dtype("<u2" if vocabulary_size < 2**16 else "<u4")
