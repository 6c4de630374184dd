"""Word alignments: Pharaoh lines → links between normalised words on disk → links between the tokens of a batch.

A normalised word is the text between two spaces. In any segmentation of the line, sampled or not, it consists of a
piece that begins with ▁ and all pieces up to the next one that does.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from nmt_cli.data.arrays import Array, Booleans, Integers, RaggedArray, enumerate_ranges, starts_of
from nmt_cli.data.preparation.shard_files import ALIGNMENT
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.oov import MAX_OOV
from nmt_cli.text.normalization import INVISIBLE

_LINK = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")
_WORD = re.compile(r"[^ \t]+")
_WITHOUT_INVISIBLE = str.maketrans(dict.fromkeys(INVISIBLE))

WordLink = tuple[int, int]
"""0-based indices of a source word and of a target word."""


def normalized_links(
    links: str, raw: Sequence[str], normal: Sequence[str], normalize: Callable[[str], str]
) -> list[WordLink]:
    """Convert links between raw words to links between normalised words, in ascending order.

    If normalisation splits a word, all its parts get its links; the links of a word that vanishes are dropped.

    Args:
        raw: Source and target.
        normal: Source and target, normalised.

    Raises:
        ValueError: A link is malformed, or refers to a word that does not exist.
    """
    source, target = (normalized_indices(line, after, normalize) for line, after in zip(raw, normal, strict=True))
    found = set[WordLink]()
    for link in links.split():
        match = _LINK.fullmatch(link)
        if not match:
            raise ValueError(f"{link!r} is not a valid link, such as 0-0")
        for side, words, index in (("source", source, match[1]), ("target", target, match[2])):
            if int(index) >= len(words):
                raise ValueError(f"link {link}: the {side} has only {len(words)} words; the first has the index 0")
        found |= {(one, other) for one in source[int(match[1])] for other in target[int(match[2])]}
    return sorted(found)


def words_of(line: str) -> list[str]:
    """Return the words of a raw line, as alignments count them: separated by spaces and tabs."""
    return _WORD.findall(line)


def word_at(text: str, position: int) -> int:
    """Return the index of the word at a position in the text; between words, of the next one."""
    inside = 0 < position < len(text) and not {text[position - 1], text[position]} & {" ", "\t"}
    return len(words_of(text[:position])) - inside


def normalized_indices(raw: str, normal: str, normalize: Callable[[str], str]) -> list[range]:
    """Return, for each word of a raw line, the indices of the normalised words that contain its characters."""
    before, after = words_of(raw), normal.split(" ")
    if before == after:
        return [range(index, index + 1) for index in range(len(before))]
    spelled = [normalize(word) for word in before]
    assert _spelling("".join(spelled)) == _spelling(normal), "words are normalised independently"
    return overlapping_indices(spelled, after)


def overlapping_indices(texts: Sequence[str], others: Sequence[str]) -> list[range]:
    """Return, for each text, the indices of the others that contain its characters.

    Both split the same characters, apart from white space, at different positions.
    """
    ends = list(accumulate(len(_spelling(other)) for other in others))
    bounds = pairwise(accumulate((len(_spelling(text)) for text in texts), initial=0))
    return [
        range(bisect_right(ends, start), bisect_left(ends, end) + 1) if start < end else range(0)
        for start, end in bounds
    ]


def _spelling(text: str) -> str:
    """Remove invisible characters, which are normalised differently at the ends of a line."""
    return text.translate(_WITHOUT_INVISIBLE)


def link_arrays(links: Sequence[Sequence[WordLink]]) -> tuple[Array, Integers]:
    """Return the m links of some pairs as word indices [m,2], one pair after another, and the number of each pair."""
    indices = np.array([link for of_pair in links for link in of_pair], ALIGNMENT.dtype)
    return indices.reshape(-1, 2), np.fromiter(map(len, links), np.int64, len(links))


@dataclass(frozen=True)
class WordLinks:
    """Links between the words of some pairs."""

    rows: RaggedArray
    """[m,2] of each pair: indices of a source word and of a target word."""
    source_begins_word: Booleans
    """[V], whether each token begins a word."""
    target_begins_word: Booleans

    def slice(self, first: int, end: int) -> "WordLinks":
        """Return the links of adjacent pairs."""
        return replace(self, rows=self.rows.slice(first, end))


def open_links(folder: Path, num_pairs: int, tokenizer: Tokenizer) -> WordLinks | None:
    """Memory-map the links of a shard, if it has any."""
    if not ALIGNMENT.exists(folder):
        return None
    rows = ALIGNMENT.open(folder, num_pairs)
    target = tokenizer.target.begins_word
    if tokenizer.copies:  # words outside the vocabulary, in place of unk
        target = np.append(target, np.repeat(target[tokenizer.special_tokens.unk], MAX_OOV))
    return WordLinks(rows, tokenizer.source.begins_word, target)


def concatenate_links(parts: Sequence[tuple[WordLinks | None, int]]) -> WordLinks | None:
    """Return the links of all parts, each given with its number of pairs; None if no part has any."""
    given = [links for links, _ in parts if links]
    if not given:
        return None
    lengths = [links.rows.lengths if links else np.zeros(num_pairs, np.int64) for links, num_pairs in parts]
    values = np.concatenate([links.rows.values for links in given])
    return replace(given[0], rows=RaggedArray.of_lengths(np.concatenate(lengths), values))


@dataclass(frozen=True)
class WordOrder:
    """How the words of a pair have changed."""

    source_indices: list[int]
    """Original index of each word of the source."""
    num_targets: int
    """Words of the target that are left; only words at its end can be lost."""


def reordered_links(links: WordLinks, orders: Mapping[int, WordOrder]) -> WordLinks:
    """Return the links after the words of some pairs have changed. `orders` holds the changes by pair."""
    rows = np.split(links.rows.values, links.rows.offsets[1:-1])
    for row, order in orders.items():
        linked: dict[int, list[int]] = {}
        for one, other in rows[row].tolist():
            if other < order.num_targets:
                linked.setdefault(one, []).append(other)
        found = [(word, other) for word, index in enumerate(order.source_indices) for other in linked.get(index, ())]
        rows[row] = np.array(found, links.rows.values.dtype).reshape(-1, 2)
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    return replace(links, rows=RaggedArray.of_lengths(lengths, np.concatenate(rows)))


@dataclass(frozen=True)
class PaddedTokens:
    """Rows of tokens: padded [R,L], and their lengths [R]."""

    tokens: Integers
    lengths: Integers


def token_links(
    links: WordLinks, pairs: Integers, source: PaddedTokens, target: PaddedTokens
) -> tuple[Integers, Integers, Integers]:
    """Link each token of a target word to all tokens of the source words to which the word is linked.

    Tags before the first word belong to no word.

    Args:
        pairs: [R], pair of each row.

    Returns:
        Row, target position and source position of each link.
    """
    rows, within = enumerate_ranges(links.rows.lengths[pairs])
    words = links.rows.values[links.rows.offsets[pairs][rows] + within].astype(np.int64)
    source_words = _TokenizedWords(source, links.source_begins_word)
    target_words = _TokenizedWords(target, links.target_begins_word)
    ones, others = source_words.index(rows, words[:, 0]), target_words.index(rows, words[:, 1])
    num_sources = source_words.num_tokens[ones]
    pair, within = enumerate_ranges(num_sources * target_words.num_tokens[others])
    return (
        rows[pair],
        target_words.starts[others][pair] + within // num_sources[pair],
        source_words.starts[ones][pair] + within % num_sources[pair],
    )


class _TokenizedWords:
    """The words of all rows, one row after another: position of the first token in its row, and number of tokens."""

    def __init__(self, side: PaddedTokens, begins_word: Booleans) -> None:
        is_start = begins_word[side.tokens] & (np.arange(side.tokens.shape[1]) < side.lengths[:, None])
        self._words_per_row = is_start.sum(1)
        self._first_words = starts_of(self._words_per_row)
        rows, self.starts = np.nonzero(is_start)
        next_starts = np.append(self.starts[1:], 0)
        is_last = np.append(rows[1:] != rows[:-1], True)[: len(rows)]
        self.num_tokens = np.where(is_last, side.lengths[rows], next_starts[: len(rows)]) - self.starts

    def index(self, rows: Integers, words: Integers) -> Integers:
        """Return the indices among all words, given the row of each word and its index there."""
        assert (words < self._words_per_row[rows]).all(), "each word of a line begins with one piece"
        indices: Integers = self._first_words[rows] + words
        return indices
