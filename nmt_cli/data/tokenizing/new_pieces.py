"""Additional pieces for a segmenter: characters, words, and merges of existing pieces (Sennrich et al. 2016).

Merges continue from the segmentation of the text into existing pieces, so no text is split into more pieces than
before, and each new piece consists of existing ones, from which its embedding can be made.
"""

import heapq
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

from nmt_cli.data.tokenizing.segmenter import WORD_START, Piece, PieceKind, Segmenter

_MAX_PIECE_LENGTH = 16
"""In characters, as in SentencePiece."""
_MAX_UNCOVERED = 0.0005
"""Fraction of the characters of the text, counted with repetition, that may have no piece."""
_MERGE_BONUS = 2**-8
"""A new unigram piece has the sum of its parts' scores plus this: enough for the piece to be preferred to its parts,
too little to change any other segmentation."""
_MIN_COUNT = 2
"""Minimum frequency of a pair to be merged."""

_Pair = tuple[int, int]


def new_words(segmenter: Segmenter, word_counts: Mapping[str, int], num_pieces: int) -> list[Piece]:
    """Return the most frequent words that are not pieces yet."""
    known, lowest = {piece.text for piece in _normal_pieces(segmenter)}, _lowest_score(segmenter)
    words = [word for word in word_counts if word not in known]
    return [Piece(word, lowest - 1 - rank) for rank, word in enumerate(words[:num_pieces])]


def new_characters(
    segmenter: Segmenter, word_counts: Mapping[str, int], num_pieces: int, *, score_step: int, only_needed: bool
) -> list[Piece]:
    """Return the most frequent characters that are not pieces yet.

    Args:
        score_step: Difference between the scores of successive pieces.
        only_needed: Return at most half of `num_pieces`, and stop when few characters of the text lack a piece.
    """
    known = {piece.text for piece in segmenter.pieces if piece.kind in (PieceKind.NORMAL, PieceKind.USER_DEFINED)}
    counts: Counter[str] = Counter()
    for word, count in word_counts.items():
        for character in word:
            counts[character] += count
    new = sorted((character for character in counts if character not in known), key=lambda c: (-counts[c], c))
    if only_needed:
        uncovered, max_uncovered = sum(counts[c] for c in new), _MAX_UNCOVERED * counts.total()
        needed = []
        for character in new[: num_pieces // 2]:
            if uncovered <= max_uncovered:
                break
            needed.append(character)
            uncovered -= counts[character]
        new = needed
    lowest = _lowest_score(segmenter)
    return [Piece(character, lowest - score_step * rank) for rank, character in enumerate(new[:num_pieces], 1)]


def new_merges(
    segmenter: Segmenter, preceding: list[Piece], word_counts: Mapping[str, int], num_pieces: int, *, sum_scores: bool
) -> list[Piece]:
    """Return new pieces of letters. Each merges the two pieces that are adjacent most often after all earlier merges.

    Args:
        preceding: New pieces that come before these in the model.
        sum_scores: Score a piece by the sum of its parts' scores, as unigram requires, instead of by its rank.
    """
    extended = segmenter.with_pieces(preceding)
    texts = [piece.text for piece in extended.pieces]
    is_mergeable = [piece.kind == PieceKind.NORMAL and _is_letters(piece.text) for piece in extended.pieces]
    rows = extended.encode_fragments(list(word_counts))
    merger = PairMerger(texts, is_mergeable, list(zip(rows, word_counts.values(), strict=True)), _MAX_PIECE_LENGTH)
    scores = [piece.score for piece in extended.pieces]
    lowest, new = _lowest_score(segmenter) - len(preceding), list[Piece]()
    while len(new) < num_pieces and (pair := merger.merge_next()) is not None:
        left, right = pair
        score = scores[left] + scores[right] + _MERGE_BONUS if sum_scores else lowest - 1 - len(new)
        scores.append(score)
        new.append(Piece(texts[left] + texts[right], score))
    return new


def _normal_pieces(segmenter: Segmenter) -> list[Piece]:
    return [piece for piece in segmenter.pieces if piece.kind == PieceKind.NORMAL]


def _lowest_score(segmenter: Segmenter) -> float:
    return min((piece.score for piece in _normal_pieces(segmenter)), default=0.0)


def _is_letters(text: str) -> bool:
    """Return whether a piece consists of letters after an optional ▁."""
    return all(map(_is_letter, text.removeprefix(WORD_START)))


@lru_cache(maxsize=1 << 16)
def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"


class PairMerger:
    """Byte-pair encoding: merges the most frequent pair of adjacent pieces, then the next one, and so on."""

    def __init__(
        self,
        texts: list[str],
        is_mergeable: Sequence[bool],
        words: Sequence[tuple[list[int], int]],
        max_length: int,
    ) -> None:
        """Count all pairs.

        Args:
            texts: Texts of all pieces. The texts of new pieces are appended to this list, without duplicates.
            is_mergeable: Whether each piece may be merged.
            words: Pieces and frequency of each word.
            max_length: Maximum characters of a new piece.
        """
        self._texts, self._is_mergeable, self._max_length = texts, list(is_mergeable), max_length
        self._initial_texts = set(texts)
        self._new_indices: dict[str, int] = {}
        self._words = [row for row, _ in words]
        self._frequencies = [count for _, count in words]
        self._counts: defaultdict[_Pair, int] = defaultdict(int)
        self._words_with: defaultdict[_Pair, set[int]] = defaultdict(set)
        for word, row in enumerate(self._words):
            self._count_pairs(word, row, self._frequencies[word])
        self._heap = [(-count, pair) for pair, count in self._counts.items()]
        heapq.heapify(self._heap)

    def merge_next(self) -> _Pair | None:
        """Add one piece, with the next index, and return its two parts; None if no pair occurs twice."""
        while self._heap:
            negative, pair = heapq.heappop(self._heap)
            count = self._counts[pair]
            if count != -negative:
                if count >= _MIN_COUNT:
                    heapq.heappush(self._heap, (-count, pair))
                continue
            if count < _MIN_COUNT:
                return None
            text = self._texts[pair[0]] + self._texts[pair[1]]
            if len(text) > self._max_length or text in self._initial_texts:
                del self._counts[pair], self._words_with[pair]
                continue
            is_new = text not in self._new_indices
            if is_new:
                self._new_indices[text] = len(self._texts)
                self._texts.append(text)
                self._is_mergeable.append(True)
            self._merge(pair, self._new_indices[text])
            if is_new:
                return pair
        return None

    def _merge(self, pair: _Pair, merged: int) -> None:
        changed: set[_Pair] = set()
        for word in self._words_with.pop(pair):
            row, frequency = self._words[word], self._frequencies[word]
            self._count_pairs(word, row, -frequency)
            row = self._words[word] = _with_merged(row, pair, merged)
            self._count_pairs(word, row, frequency)
            changed.update(pairwise(row))
        del self._counts[pair]
        for other in changed:
            if merged in other and self._counts[other] >= _MIN_COUNT:
                heapq.heappush(self._heap, (-self._counts[other], other))

    def _count_pairs(self, word: int, row: list[int], frequency: int) -> None:
        is_mergeable, counts, words_with = self._is_mergeable, self._counts, self._words_with
        for pair in pairwise(row):
            if is_mergeable[pair[0]] and is_mergeable[pair[1]]:
                counts[pair] += frequency
                if frequency > 0:
                    words_with[pair].add(word)


def _with_merged(row: list[int], pair: _Pair, merged: int) -> list[int]:
    (left, right), found, index = pair, [], 0
    while index < len(row):
        if row[index] == left and index + 1 < len(row) and row[index + 1] == right:
            found.append(merged)
            index += 2
        else:
            found.append(row[index])
            index += 1
    return found
