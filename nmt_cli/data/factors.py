"""Source factors: a value for each word of a raw source → numbers for each of its tokens."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import numpy as np
import numpy.typing as npt

from nmt_cli.data.alignments import Integers, normal_words, word_at, words_of
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import DataError

Numbers = npt.NDArray[np.uint16]
"""[n,k], of n tokens by k factors."""


@dataclass(frozen=True)
class Valued:
    """A source with the values of its words."""

    raw: str
    normal: str
    values: Sequence[Sequence[str]]
    """Of each factor, as many as the raw source has words."""


def check_count(source: str, name: str, values: str) -> None:
    """ValueError unless there is a value of a factor for each word of a raw source."""
    words, given = len(words_of(source)), len(words_of(values))
    if words != given:
        raise ValueError(f"{given} values of the factor {name} for {words} words; there must be one for each")


def token_factors(
    tokenizer: Tokenizer, sources: Sequence[Valued], tokens: npt.NDArray[np.integer], lengths: Integers
) -> Numbers:
    """The numbers of all tokens of some sources, one source after another.

    Each token has those of its word. One that holds several raw words has those of the first; tags have none.
    """
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
    known = tokenizer.factors.numbers([chain.from_iterable(rows) for rows in values])
    numbers: Numbers = np.array([[*row, 0] for row in known], np.uint16).T[words]
    return numbers


_NO_WORD = -1
"""The place of zeros, behind the numbers of all words."""


def _origins(source: Valued, first: int, normalize: Callable[[str], str]) -> Sequence[int]:
    """For each word of a normalised source, the number of its raw word; that of the source's first word is `first`."""
    raw, words, normal_count = source.raw, len(source.values[0]), source.normal.count(" ") + 1
    if raw == source.normal and words == normal_count and "\t" not in raw:
        return range(first, first + words)
    found = [_NO_WORD] * normal_count
    places = normal_words(raw, source.normal, normalize)
    for word in reversed(range(words)):  # the first of those that share one stays
        for place in places[word]:
            found[place] = first + word
    return found


def piece_factors(
    tokenizer: Tokenizer,
    number: int,
    line: str,
    given: Mapping[str, str],
    pieces: Sequence[tuple[int, int, Sequence[int]]],
) -> list[list[list[int]] | None]:
    """For each piece of a line, given by its beginning, end and tokens, the numbers of these; None without factors.

    DataError names the line, by its number, where values are missing or are too many.
    """
    names = tokenizer.factors.names
    _check_given(number, line, given, names, needed=bool(pieces))
    if not names:
        return [None] * len(pieces)
    values = {name: words_of(given.get(name, "")) for name in names}
    sources = []
    for start, end, _ in pieces:
        raw = line[start:end]
        first = word_at(line, start)
        some = [values[name][first : first + len(words_of(raw))] for name in names]
        sources.append(Valued(raw, tokenizer.normalize(raw), some))
    lengths = np.array([len(tokens) for _, _, tokens in pieces], np.int64)
    tokens = np.array([token for _, _, tokens in pieces for token in tokens], np.int64)
    numbers = token_factors(tokenizer, sources, tokens, lengths).tolist()
    ends = np.cumsum(lengths).tolist()
    return [numbers[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]


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
