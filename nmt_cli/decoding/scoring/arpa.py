"""N-gram language models in the ARPA format, which all tools for n-gram models write.

    \\data\\
    ngram 1=3
    ngram 2=1

    \\1-grams:
    -1.2    <s>     -0.3
    -0.4    a       -0.1
    -0.9    </s>

    \\2-grams:
    -0.2    <s> a

    \\end\\

Each line has the logarithm (base 10) of the probability of the last token after the others and, if the n-gram is the
beginning of longer ones, that of its backoff weight.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nmt_cli.errors import ModelError
from nmt_cli.text.lines import read_lines

Ngram = tuple[int, ...]
"""Ids of tokens."""

MAX_ORDER = 10
MAX_NGRAMS = 5_000_000
_MAX_LINE_LENGTH = 100_000

_MAX_LOG = 1e4
"""Larger logarithms of probabilities and weights are errors."""
_COUNT = re.compile(r"ngram +([0-9]{1,3}) *= *([0-9]{1,12})")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")
_SPACES = re.compile(r"[ \t]+")


@dataclass(frozen=True)
class ArpaModel:
    """N-grams of known tokens, with natural logarithms."""

    order: int
    log_probs: dict[Ngram, float]
    """Of the last token after the others."""
    backoffs: dict[Ngram, float]
    """Those that the file has; others are 0."""


def read_arpa(path: Path, ids: Mapping[str, int]) -> ArpaModel:
    """Read the n-grams of known tokens, plain or compressed.

    Args:
        ids: The id of each known token.

    Raises:
        DataError: The file cannot be read, or is not UTF-8.
        ModelError: It is not a model in the ARPA format, or has more than MAX_NGRAMS n-grams.
    """
    lines = ((number, line.strip(" \t")) for number, line in enumerate(read_lines(path), 1))
    filled = ((number, line) for number, line in lines if line)
    counts = _read_counts(path, filled)
    log_probs, backoffs = dict[Ngram, float](), dict[Ngram, float]()
    for order, count in enumerate(counts, 1):
        for _ in range(count):
            number, line = _next(path, filled)
            tokens, values = _parse(path, number, line, order)
            if not all(token in ids for token in tokens):
                continue
            ngram = tuple(ids[token] for token in tokens)
            if ngram in log_probs:
                raise ModelError(f"{path}: line {number}: this n-gram is there twice")
            log_probs[ngram] = values[0]
            if len(values) == 2:
                backoffs[ngram] = values[1]
        expected = f"\\{order + 1}-grams:" if order < len(counts) else "\\end\\"
        number, line = _next(path, filled)
        if line != expected:
            raise ModelError(f"{path}: line {number}: has no {expected} after {count:,} n-grams of order {order}")
    return ArpaModel(len(counts), log_probs, backoffs)


def _read_counts(path: Path, lines: Iterator[tuple[int, str]]) -> list[int]:
    """Read the header, up to the first n-gram. Return the number of n-grams of each order."""
    if next(lines, (0, ""))[1] != "\\data\\":
        raise ModelError(f"{path}: is not an n-gram model in the ARPA format, which begins with \\data\\")
    counts = list[int]()
    while (numbered_line := _next(path, lines))[1] != "\\1-grams:":
        number, line = numbered_line
        match = _COUNT.fullmatch(line)
        if match is None or int(match[1]) != len(counts) + 1:
            raise ModelError(f"{path}: line {number}: is not `ngram {len(counts) + 1}=COUNT`, nor \\1-grams:")
        counts.append(int(match[2]))
    if not 1 <= len(counts) <= MAX_ORDER or sum(counts) > MAX_NGRAMS:
        raise ModelError(f"{path}: must have orders 1 to {MAX_ORDER} at most, and {MAX_NGRAMS:,} n-grams at most")
    return counts


def _parse(path: Path, number: int, line: str, order: int) -> tuple[list[str], list[float]]:
    """Return the tokens of an n-gram, and the natural logarithms of its probability and of any backoff weight."""
    if len(line) > _MAX_LINE_LENGTH:
        raise ModelError(f"{path}: line {number}: has more than {_MAX_LINE_LENGTH:,} characters")
    fields = _SPACES.split(line)
    ngram, numbers = fields[1 : order + 1], [fields[0], *fields[order + 1 :]]
    values = [float(each) for each in numbers if _NUMBER.fullmatch(each)]
    if len(ngram) < order or len(values) < len(numbers) or len(values) > 2:
        raise ModelError(f"{path}: line {number}: is not a number, {order} tokens and, if any, a backoff weight")
    if values[0] > 0 or any(abs(value) > _MAX_LOG for value in values):
        raise ModelError(f"{path}: line {number}: a probability is greater than 1, or a number is too large")
    return ngram, [math.log(10) * value for value in values]


def _next(path: Path, lines: Iterator[tuple[int, str]]) -> tuple[int, str]:
    """Return the next line that is not empty, and its number."""
    if (found := next(lines, None)) is None:
        raise ModelError(f"{path}: ends before \\end\\; it is incomplete")
    return found
