"""Source factors: a value for each word of a raw source → a column of ids for its tokens."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import numpy as np

from nmt_cli.data.alignments import normalized_indices, word_at, words_of
from nmt_cli.data.arrays import Array, Integers, starts_of
from nmt_cli.data.preparation.shard_files import column_dtype
from nmt_cli.data.token_corpus import NO_COLUMNS, Columns
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.vocabulary import FACTORS
from nmt_cli.errors import DataError

_NO_WORD = -1
"""Index of the last row of ids, which is all zeros: for tokens without a word."""


@dataclass(frozen=True)
class FactoredSource:
    """A source and the factors of its words."""

    raw: str
    normalized: str
    values: Sequence[Sequence[str]]
    """Per factor, one value for each word of the raw source."""


def check_count(source: str, name: str, values: str) -> None:
    """Raise ValueError unless a factor has one value for each word of a raw source."""
    num_words, num_values = len(words_of(source)), len(words_of(values))
    if num_words != num_values:
        raise ValueError(f"{num_values} values of the factor {name} for {num_words} words; there must be one for each")


def token_factors(tokenizer: Tokenizer, sources: Sequence[FactoredSource], tokens: Array, lengths: Integers) -> Columns:
    """Return the factors of the tokens of some sources as a column; no column if the tokenizer has no factors.

    A token has the factors of its word; if that stands for several raw words, those of the first. Tags have none.

    Args:
        tokens: Ids of all sources, one source after another.
        lengths: Number of tokens of each source.

    Returns:
        [n,k] ids of the values of k factors.
    """
    if not tokenizer.factors.names:
        return NO_COLUMNS
    first_words = accumulate((len(source.values[0]) for source in sources), initial=0)
    raw_indices = [
        _raw_indices(source, first, tokenizer.normalize) for source, first in zip(sources, first_words, strict=False)
    ]
    raw_index = np.fromiter(chain.from_iterable(raw_indices), np.int64)
    num_words = np.fromiter(map(len, raw_indices), np.int64, len(raw_indices))
    words_before = np.append(0, np.cumsum(tokenizer.source.begins_word[tokens]))
    source = np.repeat(np.arange(len(sources)), lengths)
    word_in_source = words_before[1:] - words_before[starts_of(lengths)][source] - 1
    word_in_source = word_in_source.clip(0, num_words[source] - 1)
    words = raw_index[starts_of(num_words)[source] + word_in_source]
    words[np.isin(tokens, list(tokenizer.source.tags.values()))] = _NO_WORD
    values = zip(*(source.values for source in sources), strict=True) if sources else [()] * len(tokenizer.factors)
    ids = tokenizer.factors.ids([chain.from_iterable(rows) for rows in values])
    return {FACTORS: np.array([[*row, 0] for row in ids], column_dtype(tokenizer.factors.sizes)).T[words]}


def _raw_indices(source: FactoredSource, first: int, normalize: Callable[[str], str]) -> Sequence[int]:
    """Return the index of each normalised word's raw word; `first` is the index of the first raw word."""
    raw, num_raw, num_words = source.raw, len(source.values[0]), source.normalized.count(" ") + 1
    if raw == source.normalized and num_raw == num_words and "\t" not in raw:
        return range(first, first + num_raw)
    found = [_NO_WORD] * num_words
    normalized = normalized_indices(raw, source.normalized, normalize)
    for word in reversed(range(num_raw)):  # if several share a normalised word, the first one wins
        for index in normalized[word]:
            found[index] = first + word
    return found


def segment_factors(
    tokenizer: Tokenizer,
    number: int,
    line: str,
    given: Mapping[str, str],
    segments: Sequence[tuple[int, int, Sequence[int]]],
) -> list[Columns]:
    """Return the source columns of each segment of a line.

    Args:
        number: 1-based line number, for messages.
        given: Factors of the line's words, by name, separated by spaces.
        segments: Start and end in the line, and token ids, of each segment.

    Raises:
        DataError: The factors are not those of the tokenizer, or are not one per word.
    """
    names = tokenizer.factors.names
    _check_given(number, line, given, names, needed=bool(segments))
    if not names:
        return [NO_COLUMNS] * len(segments)
    values = {name: words_of(given.get(name, "")) for name in names}
    sources = []
    for start, end, _ in segments:
        raw = line[start:end]
        first = word_at(line, start)
        own_values = [values[name][first : first + len(words_of(raw))] for name in names]
        sources.append(FactoredSource(raw, tokenizer.normalize(raw), own_values))
    lengths = np.array([len(tokens) for _, _, tokens in segments], np.int64)
    tokens = np.array([token for _, _, tokens in segments for token in tokens], np.int64)
    columns, ends = token_factors(tokenizer, sources, tokens, lengths), np.cumsum(lengths)
    return [
        {name: column[end - length : end] for name, column in columns.items()}
        for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)
    ]


def _check_given(number: int, line: str, given: Mapping[str, str], names: Sequence[str], needed: bool) -> None:
    for name in given:
        if name not in names:
            known = f"has {', '.join(names)}" if names else "has none"
            raise DataError(f"line {number}: has the factor {name}, but this model {known}; remove it")
    for name in names:
        if name in given:
            try:
                check_count(line, name, given[name])
            except ValueError as error:
                raise DataError(f"line {number}: has {error}") from error
        elif needed:
            raise DataError(
                f"line {number}: has no factor {name}, which this model needs; give --factors {name}=FILE with"
                f' a value for each word, or --input-format jsonl and {{"source": "…", "factors": {{"{name}": "…"}}}}'
            )
