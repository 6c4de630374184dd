"""Word alignments: Pharaoh lines → links between normalised words on disk → links between a batch's tokens.

A normalised word is what stands between two spaces, so that in any cut of the line, sampled or not, a
word is a piece that begins with ▁ and all pieces up to the next such one.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nmt_cli.data.arrays import Booleans, Integers
from nmt_cli.data.preparation.shard_files import ALIGNMENT
from nmt_cli.data.tokenizer import Tokenizer

_LINK = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")
_WORD = re.compile(r"[^ \t]+")
_BOM = "\ufeff"


def normalized_links(links: str, raw: Sequence[str], normal: Sequence[str], normalize: Callable[[str], str]) -> str:
    """Links between the words of a raw source and target, as links between the words they are normalised to.

    A word that normalisation takes apart passes its links on to all its parts; of one that vanishes they
    vanish. ValueError says which link is none, or has the number of no word.
    """
    source, target = (normal_words(line, after, normalize) for line, after in zip(raw, normal, strict=True))
    found = set()
    for link in links.split():
        match = _LINK.fullmatch(link)
        if not match:
            raise ValueError(f"{link!r} is no link, which looks like 0-0")
        for side, words, number in (("source", source, match[1]), ("target", target, match[2])):
            if int(number) >= len(words):
                raise ValueError(f"link {link}: the {side} has {len(words)} words, of which the first is number 0")
        found |= {(one, other) for one in source[int(match[1])] for other in target[int(match[2])]}
    return " ".join(f"{one}-{other}" for one, other in sorted(found))


def words_of(line: str) -> list[str]:
    """The words of a raw line, as alignments count them: what stands between spaces and tabs."""
    return _WORD.findall(line)


def word_at(text: str, place: int) -> int:
    """The number of the word that a character belongs to, or else of the next."""
    goes_on = 0 < place < len(text) and not {text[place - 1], text[place]} & {" ", "\t"}
    return len(words_of(text[:place])) - goes_on


def normal_words(raw: str, normal: str, normalize: Callable[[str], str]) -> list[range]:
    """For each word of a raw line, which words of the normalised line hold its characters."""
    before, after = words_of(raw), normal.split(" ")
    if before == after:
        return [range(number, number + 1) for number in range(len(before))]
    spelled = [normalize(word) for word in before]
    assert _spelling("".join(spelled)) == _spelling(normal), "words are normalised one by one as they are together"
    return overlaps(spelled, after)


def overlaps(texts: Sequence[str], others: Sequence[str]) -> list[range]:
    """For each text, which of the others hold its characters: both cut, in other places, what is spelled the same."""
    ends = list(accumulate(len(_spelling(other)) for other in others))
    places = pairwise(accumulate((len(_spelling(text)) for text in texts), initial=0))
    return [
        range(bisect_right(ends, one), bisect_left(ends, end) + 1) if one < end else range(0) for one, end in places
    ]


def _spelling(text: str) -> str:
    """Without white space and byte order marks, which normalisation treats differently at a line's beginning."""
    return "".join(text.split()).replace(_BOM, "")


def link_arrays(lines: list[str]) -> tuple[npt.NDArray[Any], Integers]:
    """The links of lines as `normalized_links` gives them: [m,2] word numbers of all lines, and how many each has."""
    rows = [line.split() for line in lines]
    numbers = [int(number) for row in rows for link in row for number in link.split("-")]
    return np.array(numbers, ALIGNMENT.dtype).reshape(-1, 2), np.fromiter(map(len, rows), np.int64, len(rows))


@dataclass(frozen=True)
class WordLinks:
    """Links between the words of some lines: those of line i are words[offsets[i]:offsets[i+1]]."""

    offsets: Integers
    words: npt.NDArray[Any]
    """[m,2], a word of the source and one of the target."""
    source_starts: Booleans
    """By token: whether it begins a word."""
    target_starts: Booleans

    def part(self, first: int, end: int) -> "WordLinks":
        """The links of some lines."""
        offsets = self.offsets[first : end + 1]
        return replace(self, offsets=offsets - offsets[0], words=self.words[offsets[0] : offsets[-1]])


def open_links(folder: Path, lines: int, tokenizer: Tokenizer) -> WordLinks | None:
    """The links of a shard of so many lines, memory-mapped, if it has any."""
    if not ALIGNMENT.exists(folder):
        return None
    links = ALIGNMENT.open(folder, lines)
    return WordLinks(links.offsets, links.values, tokenizer.source.begins_word, tokenizer.target.begins_word)


def join_links(parts: Sequence[tuple[WordLinks | None, int]]) -> WordLinks | None:
    """Links of lines one after another, each part given with the number of its lines; None if no part has any."""
    given = [links for links, _ in parts if links]
    if not given:
        return None
    counts = [np.diff(links.offsets) if links else np.zeros(lines, np.int64) for links, lines in parts]
    offsets = np.cumsum(np.concatenate([np.zeros(1, np.int64), *counts]))
    return replace(given[0], offsets=offsets, words=np.concatenate([links.words for links in given]))


def moved_links(links: WordLinks, origins: Mapping[int, Sequence[int]], targets: Mapping[int, int]) -> WordLinks:
    """The links after some lines have changed, given for each: which word each of its source's was, and how many words
    of its target, counted from the first, there still are.
    """
    rows = np.split(links.words, links.offsets[1:-1])
    for row, words in origins.items():
        linked: dict[int, list[int]] = {}
        for one, other in rows[row].tolist():
            if other < targets[row]:
                linked.setdefault(one, []).append(other)
        found = [(word, other) for word, origin in enumerate(words) for other in linked.get(origin, ())]
        rows[row] = np.array(found, links.words.dtype).reshape(-1, 2)
    return replace(links, offsets=np.cumsum([0, *map(len, rows)]), words=np.concatenate(rows))


@dataclass(frozen=True)
class TokenLinks:
    """The links between tokens of some rows: row, place in the target and place in the source of each."""

    rows: Integers
    targets: Integers
    sources: Integers


@dataclass(frozen=True)
class PaddedTokens:
    """One side of R rows of tokens: padded [R,L], and the lengths [R]."""

    tokens: Integers
    lengths: Integers


def token_links(links: WordLinks, lines: Integers, source: PaddedTokens, target: PaddedTokens) -> TokenLinks:
    """Tie each token of a target word to all tokens of the source words that the word is linked to.

    `lines` says which of the linked lines each of the R rows is. Tags before the first word belong to no word.
    """
    counts = links.offsets[lines + 1] - links.offsets[lines]
    rows, within = _runs(counts)
    words = links.words[links.offsets[lines][rows] + within].astype(np.int64)
    from_words, to_words = _Words(source, links.source_starts), _Words(target, links.target_starts)
    ones, others = from_words.number(rows, words[:, 0]), to_words.number(rows, words[:, 1])
    sizes = from_words.sizes[ones]
    which, within = _runs(sizes * to_words.sizes[others])
    return TokenLinks(
        rows[which],
        to_words.begins[others][which] + within // sizes[which],
        from_words.begins[ones][which] + within % sizes[which],
    )


def _runs(counts: Integers) -> tuple[Integers, Integers]:
    """For counts 2, 0, 3: to which each belongs, 0 0 2 2 2, and its number there, 0 1 0 1 2."""
    which = np.repeat(np.arange(len(counts)), counts)
    return which, np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)


class _Words:
    """The words of all rows, one after another: where in its row each begins, and how many tokens it has."""

    def __init__(self, side: PaddedTokens, starts: Booleans) -> None:
        begins_word = starts[side.tokens] & (np.arange(side.tokens.shape[1]) < side.lengths[:, None])
        self._in_row = begins_word.sum(1)
        self._before = np.cumsum(self._in_row) - self._in_row
        rows, self.begins = np.nonzero(begins_word)
        ends = np.append(self.begins[1:], 0)
        is_last = np.append(rows[1:] != rows[:-1], True)[: len(rows)]
        self.sizes = np.where(is_last, side.lengths[rows], ends[: len(rows)]) - self.begins

    def number(self, rows: Integers, words: Integers) -> Integers:
        """The numbers among all words of those that are given by row and place in it."""
        assert (words < self._in_row[rows]).all(), "each word of a line begins with one piece"
        numbers: Integers = self._before[rows] + words
        return numbers
