"""Source factors: a value for each word of a raw source → numbers for each of its tokens."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import numpy as np
import numpy.typing as npt

from nmt_cli.data.alignments import normal_words, word_at, words_of
from nmt_cli.data.arrays import Integers
from nmt_cli.data.preparation.shard_files import column_type
from nmt_cli.data.token_corpus import NO_COLUMNS, Columns
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.vocabulary import FACTORS
from nmt_cli.errors import DataError


@dataclass(frozen=True)
class FactoredSource:
    """A source and the factors of its words."""

    raw: str
    normalized: str
    values: Sequence[Sequence[str]]
    """Per factor, one value for each word of the raw source."""


def check_count(source: str, name: str, values: str) -> None:
    """Raise ValueError unless a factor has one value for each word of a raw source."""
    words, given = len(words_of(source)), len(words_of(values))
    if words != given:
        raise ValueError(f"{given} values of the factor {name} for {words} words; there must be one for each")


def token_factors(
    tokenizer: Tokenizer, sources: Sequence[FactoredSource], tokens: npt.NDArray[np.integer], lengths: Integers
) -> Columns:
    """Return the factors of the tokens of some sources as a column; no column if the tokenizer has no factors.

    A token has the factors of its word, or of the first of several raw words. Tags have none.

    Args:
        tokens: Ids of all sources, one source after another.
        lengths: Number of tokens of each source.

    Returns:
        [n,k] ids of the values of k factors.
    """
    if not tokenizer.factors.names:
        return NO_COLUMNS
    firsts = accumulate((len(source.values[0]) for source in sources), initial=0)
    origins = [_origins(source, first, tokenizer.normalize) for source, first in zip(sources, firsts, strict=False)]
    of_words = np.fromiter(chain.from_iterable(origins), np.int64)
    counts = np.fromiter(map(len, origins), np.int64, len(origins))
    begins = np.append(0, np.cumsum(tokenizer.source.begins_word[tokens]))
    which = np.repeat(np.arange(len(sources)), lengths)
    before = begins[np.cumsum(lengths) - lengths]
    in_line = (begins[1:] - before[which] - 1).clip(0, counts[which] - 1)
    words = of_words[(np.cumsum(counts) - counts)[which] + in_line]
    words[np.isin(tokens, list(tokenizer.source.tags.values()))] = _NO_WORD
    values = zip(*(source.values for source in sources), strict=True) if sources else [()] * len(tokenizer.factors)
    known = tokenizer.factors.ids([chain.from_iterable(rows) for rows in values])
    column = np.array([[*row, 0] for row in known], column_type(tokenizer.factors.sizes)).T[words]
    return {FACTORS: column}


_NO_WORD = -1
"""The place of zeros, behind the numbers of all words."""


def _origins(source: FactoredSource, first: int, normalize: Callable[[str], str]) -> Sequence[int]:
    """For each word of a normalised source, the number of its raw word; that of the source's first word is `first`."""
    raw, words, normal_count = source.raw, len(source.values[0]), source.normalized.count(" ") + 1
    if raw == source.normalized and words == normal_count and "\t" not in raw:
        return range(first, first + words)
    found = [_NO_WORD] * normal_count
    places = normal_words(raw, source.normalized, normalize)
    for word in reversed(range(words)):  # the first of those that share one stays
        for place in places[word]:
            found[place] = first + word
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
        some = [values[name][first : first + len(words_of(raw))] for name in names]
        sources.append(FactoredSource(raw, tokenizer.normalize(raw), some))
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
            known = f"knows {', '.join(names)}" if names else "has none"
            raise DataError(f"line {number}: has the factor {name}, but this model {known}; leave it out")
    for name in names:
        if name in given:
            try:
                check_count(line, name, given[name])
            except ValueError as error:
                raise DataError(f"line {number}: has {error}") from error
        elif needed:
            raise DataError(
                f"line {number}: has no factor {name}, which this model learned from; give --factors {name}=FILE with"
                f' a value for each word, or --input-format jsonl and {{"source": "…", "factors": {{"{name}": "…"}}}}'
            )
