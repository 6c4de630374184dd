"""Packing: documents → windows of a fixed length → rows that hold several short windows.

A document of n tokens has n + 1 predictions: its first input is decoder_start, its last label eos. It is split into
windows; the first input of a window that continues a document is the token before it. Windows are packed into rows of
one length, best fit first, and attention stays within a window. So packing changes no loss, and hardly any position is
padding:

    documents   a b c d e f | g | h i             (windows of 4)
    inputs      <s> a b c   d e f   <s> g   <s> h i
    labels      a   b c d   e f </s>  g </s>  h i </s>
    rows        [<s> a b c] [d e f ·] [<s> g · ·] …
"""

from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np

from nmt_cli.data.arrays import Integers, RaggedArray, concatenate_ranges, enumerate_ranges
from nmt_cli.data.token_corpus import TokenPairs
from nmt_cli.text.special_tokens import SpecialTokens

_OPEN_ROWS = 256
"""Rows that windows are added to. With 64, rows of 256 had 2 % padding on lines of 15 tokens; with 256, 0.5 %."""


class PackedRows(TokenPairs):
    """Rows of inputs and labels, which batches are made of in place of pairs."""

    def __init__(self, inputs: RaggedArray, labels: RaggedArray, positions: RaggedArray, documents: Integers) -> None:
        """Hold the rows.

        Args:
            inputs: Token ids that the model reads.
            labels: The token to predict at each position.
            positions: Position of each token in its window; a window begins at 0.
            documents: Index of the document of each window.
        """
        empty = RaggedArray(np.zeros(len(inputs) + 1, np.int64), inputs.values[:0])
        super().__init__(empty, inputs)
        self.labels, self.positions, self.documents = labels, positions, documents

    @property
    def document_ids(self) -> RaggedArray:
        """Index of the document of each position."""
        window = np.cumsum(self.positions.values == 0) - 1
        return RaggedArray(self.positions.offsets, self.documents[window])

    @property
    def target_lengths(self) -> Integers:
        """Number of tokens of each row, less the one that batches add to the lengths of pairs for eos."""
        return self.targets.lengths - 1


def pack_documents(
    documents: RaggedArray, special_tokens: SpecialTokens, length: int, seed: Sequence[int] | None = None
) -> PackedRows:
    """Pack documents into rows of at most `length` tokens.

    Args:
        documents: Token ids, without special tokens.
        seed: Begin the first complete window of each document at a random token, and put windows in random order. By
            default, windows are complete from the start of a document, and stay in order.
    """
    rng = None if seed is None else np.random.default_rng(seed)
    ends, start = documents.offsets[1:], np.full(len(documents), special_tokens.decoder_start)
    values = documents.values.astype(np.int64)
    inputs = np.insert(values, documents.offsets[:-1], start)
    labels = np.insert(values, ends, special_tokens.eos)
    lengths = documents.lengths + 1
    first = np.full(len(lengths), length) if rng is None else rng.integers(1, length + 1, len(lengths))
    first = np.where(lengths <= length, lengths, first)  # of each document's first window
    counts = 1 + -(-(lengths - first) // length)
    document, index = enumerate_ranges(counts)
    begins = np.where(index == 0, 0, first[document] + (index - 1) * length)
    window_ends = np.minimum(first[document] + index * length, lengths[document])
    begins, window_ends = (each + (np.cumsum(lengths) - lengths)[document] for each in (begins, window_ends))
    order = np.arange(len(begins)) if rng is None else rng.permutation(len(begins))
    rows = _best_fit((window_ends - begins)[order], length)
    order = order[np.argsort(rows, kind="stable")]
    sizes = (window_ends - begins)[order]
    indices, (_, positions) = concatenate_ranges(begins[order], sizes), enumerate_ranges(sizes)
    row_of_window = np.sort(rows)
    row_lengths = np.bincount(row_of_window, sizes).astype(np.int64)
    return PackedRows(
        RaggedArray.of_lengths(row_lengths, inputs[indices]),
        RaggedArray.of_lengths(row_lengths, labels[indices]),
        RaggedArray.of_lengths(row_lengths, positions),
        document[order],
    )


def _best_fit(lengths: Integers, capacity: int) -> Integers:
    """Return the row of each window: the open row with the least space that suffices, else a new one."""
    rows, num_rows = np.empty(len(lengths), np.int64), 0
    free: list[tuple[int, int]] = []
    """Space and index of the open rows, sorted."""
    for window, length in enumerate(lengths.tolist()):
        index = bisect_left(free, (length, -1))
        if index < len(free):
            space, row = free.pop(index)
        else:
            space, row, num_rows = capacity, num_rows, num_rows + 1
        rows[window] = row
        if space > length:
            insort(free, (space - length, row))
            if len(free) > _OPEN_ROWS:
                free.pop(0)
    return rows
