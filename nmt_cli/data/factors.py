"""Source factors: a value for each word of a raw source → numbers for each of its tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

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
    words = [_normal_words(tokenizer, source) for source in sources]
    counts = np.fromiter(map(len, words), np.int64, len(words))
    flat = np.array(list(chain.from_iterable(words)), np.uint16).reshape(-1, len(tokenizer.factors.names))
    begins = np.append(0, np.cumsum(tokenizer.source.begins_word[tokens]))
    which = np.repeat(np.arange(len(sources)), lengths)
    before = begins[np.cumsum(lengths) - lengths]
    in_line = (begins[1:] - before[which] - 1).clip(0, counts[which] - 1)
    numbers: Numbers = flat[(np.cumsum(counts) - counts)[which] + in_line]
    numbers[np.isin(tokens, list(tokenizer.source.tags.values()))] = 0
    return numbers


def _normal_words(tokenizer: Tokenizer, source: Valued) -> list[tuple[int, ...]]:
    """The numbers of each word of the normalised source."""
    found = [(0,) * len(source.values)] * (source.normal.count(" ") + 1)
    numbers = tokenizer.factors.numbers(source.values)
    places = normal_words(source.raw, source.normal, tokenizer.normalize)
    for values, several in reversed(list(zip(numbers, places, strict=True))):  # the first of those that share one stays
        for place in several:
            found[place] = values
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
