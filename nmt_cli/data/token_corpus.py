"""A prepared corpus on disk: token arrays, memory-mapped, and the normalised text beside them."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nmt_cli.data.alignments import LinkWriter, WordLinks, open_links
from nmt_cli.data.corpora import Pair, Tally
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import DataError
from nmt_cli.text.lines import read_lines

_PAIRS_AT_ONCE = 10_000

Integers = npt.NDArray[np.int64]


class Lines:
    """One side: line i is tokens[offsets[i]:offsets[i+1]]."""

    def __init__(self, offsets: Integers, tokens: npt.NDArray[Any]) -> None:
        self.offsets, self.tokens = offsets, tokens

    @cached_property
    def lengths(self) -> Integers:
        return np.diff(self.offsets)

    def __getitem__(self, line: int) -> npt.NDArray[Any]:
        return self.tokens[self.offsets[line] : self.offsets[line + 1]]


class TokenLines(Lines):
    """One side on disk, memory-mapped."""

    def __init__(self, folder: Path, side: str, vocabulary_size: int) -> None:
        self._text = folder / f"{side}.txt"
        offsets: Integers = np.fromfile(folder / f"{side}.offsets", dtype="<i8")
        path = folder / f"{side}.bin"
        kind = token_type(vocabulary_size)
        if not offsets.size or offsets[-1] * kind.itemsize != path.stat().st_size:
            raise DataError(f"{path}: does not fit its offsets; run `nmt preprocess` again")
        super().__init__(offsets, np.asarray(np.memmap(path, kind, "r")) if offsets[-1] else np.empty(0, kind))

    def read_text(self) -> Iterator[str]:
        """The normalised text, line by line."""
        return read_lines(self._text)


class TokenPairs:
    """Pairs of token lines, without special tokens: what batches are made of."""

    def __init__(self, sources: Lines, targets: Lines, links: WordLinks | None = None) -> None:
        self.sources, self.targets, self.links = sources, targets, links

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


class TokenCorpus(TokenPairs):
    """Pairs as `write_corpus` left them in a folder, and their text."""

    sources: TokenLines
    targets: TokenLines

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        self.name = folder.name
        sources = TokenLines(folder, "source", tokenizer.source_size)
        targets = TokenLines(folder, "target", tokenizer.target_size)
        super().__init__(sources, targets, open_links(folder, tokenizer))
        counted = {lines.offsets.size for lines in (sources, targets, self.links) if lines is not None}
        if len(counted) > 1:
            raise DataError(f"{folder}: its sides have different numbers of lines; run `nmt preprocess` again")

    def source_text(self) -> list[str]:
        """All sources, normalised."""
        return list(self.sources.read_text())

    def target_text(self) -> list[str]:
        """All targets, normalised."""
        return list(self.targets.read_text())


@dataclass(frozen=True)
class TokenCounts:
    """Tokens of each side of a corpus, end tokens not counted."""

    source: int
    target: int


def write_corpus(
    folder: Path, pairs: Iterable[Pair], tokenizer: Tokenizer, max_length: float, tally: Tally, aligned: bool = False
) -> TokenCounts:
    """Cut normalised pairs into tokens and fill `folder`; those with a longer side are counted as `too_long`.

    If `aligned`, the links of the pairs are kept, too.
    """

    def may_fit(pair: Pair) -> bool:  # a line of megabytes is not worth cutting
        return max(tokenizer.source.fewest(pair.source), tokenizer.target.fewest(pair.target)) <= max_length

    folder.mkdir(parents=True, exist_ok=True)
    remaining = iter(pairs)
    with (
        _SideWriter(folder, "source", tokenizer.source_size) as source,
        _SideWriter(folder, "target", tokenizer.target_size) as target,
        LinkWriter(folder) if aligned else nullcontext() as links,
    ):
        while some := list(islice(remaining, _PAIRS_AT_ONCE)):
            fitting = list(filter(may_fit, some))
            source_rows = tokenizer.encode_source([pair.source for pair in fitting])
            target_rows = tokenizer.encode_target([pair.target for pair in fitting])
            lengths = map(max, map(len, source_rows), map(len, target_rows))
            kept = [number for number, length in enumerate(lengths) if length <= max_length]
            source.write([fitting[number].source for number in kept], [source_rows[number] for number in kept])
            target.write([fitting[number].target for number in kept], [target_rows[number] for number in kept])
            if links:
                links.write([fitting[number].links for number in kept])
            tally.drop("too_long", len(some) - len(kept))
    return TokenCounts(source.tokens, target.tokens)


class _SideWriter:
    """Appends lines to the three files of one side."""

    def __init__(self, folder: Path, side: str, vocabulary_size: int) -> None:
        self.tokens = 0
        self._type = token_type(vocabulary_size)
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


def token_type(vocabulary_size: int) -> np.dtype[Any]:
    """How token ids are stored: in two bytes if these are enough, else in four."""
    return np.dtype("<u2" if vocabulary_size < 2**16 else "<u4")
