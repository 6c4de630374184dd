"""A corpus reads what was written, from any stretches of any shards, and opens nothing before."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from shards import write_shards, written

from nmt_cli.data.token_corpus import TokenCorpus, TokenPairs, joined
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import DataError
from nmt_cli.recipe.data import TokenizerSettings

Sentences = Callable[[int, int], list[str]]
SHARDS = [40, 0, 1, 59]


@pytest.fixture(scope="module")
def tokenizer(sentences: Sentences) -> Tokenizer:
    return Tokenizer.train(TokenizerSettings(vocabulary_size=330), sentences(0, 200), sentences(1, 200), seed=1)


@pytest.fixture(scope="module")
def sides(sentences: Sentences) -> tuple[list[str], list[str]]:
    return sentences(2, 100), [*sentences(3, 99), "ü字"]


@pytest.fixture
def corpus(tmp_path: Path, tokenizer: Tokenizer, sides: tuple[list[str], list[str]]) -> TokenCorpus:
    return written(tmp_path / "corpus", tokenizer, *sides, shards=SHARDS)


def decoded(pairs: TokenPairs, tokenizer: Tokenizer) -> tuple[list[str], list[str]]:
    rows = range(len(pairs))
    return (
        tokenizer.source.decode([pairs.source(row).tolist() for row in rows]),
        tokenizer.target.decode([pairs.target(row).tolist() for row in rows]),
    )


def test_the_whole_corpus_is_what_was_written(
    corpus: TokenCorpus, tokenizer: Tokenizer, sides: tuple[list[str], list[str]]
) -> None:
    pairs = corpus.whole()
    assert corpus.name == "corpus"
    assert len(corpus) == len(pairs) == 100
    assert decoded(pairs, tokenizer) == sides
    assert (corpus.source_text(), corpus.target_text()) == sides
    assert pairs.numbers.tolist() == list(range(100))
    assert pairs.sources.tokens.dtype == np.uint16
    assert corpus.longest("target") == pairs.target_lengths.max()


@pytest.mark.parametrize(
    "cells", [[(0, 3)], [(38, 43)], [(99, 100), (0, 41), (5, 5)], [(7, 9), (7, 9)], [(40, 41), (41, 42)]]
)
def test_stretches_come_in_the_order_asked_for(
    corpus: TokenCorpus, tokenizer: Tokenizer, sides: tuple[list[str], list[str]], cells: list[tuple[int, int]]
) -> None:
    stretches = np.array(cells, np.int64).reshape(-1, 2)
    expected = tuple([line for first, end in cells for line in side[first:end]] for side in sides)
    pairs = corpus.read(stretches)
    assert decoded(pairs, tokenizer) == expected
    assert corpus.read_text(stretches) == expected
    assert pairs.numbers.tolist() == [number for first, end in cells for number in range(first, end)]


def test_corpora_are_joined(corpus: TokenCorpus, tokenizer: Tokenizer, sides: tuple[list[str], list[str]]) -> None:
    both = joined([corpus.read(np.array([[98, 100]])), corpus.read(np.array([[0, 1]]))], [0, 100])
    assert decoded(both, tokenizer) == tuple([*side[98:], side[0]] for side in sides)
    assert both.numbers.tolist() == [98, 99, 100]


def test_tags_are_tokens_but_no_text(tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = written(tmp_path / "tagged", tokenizer, ["a b"], ["c"], prefix=[7, 8])
    assert corpus.prefix == [7, 8]
    assert corpus.whole().source(0)[:2].tolist() == [7, 8]
    assert corpus.source_text() == ["a b"]
    assert corpus.whole().target(0).tolist() == tokenizer.target.encode(["c"])[0]


def test_nothing_is_opened_before_it_is_needed(tmp_path: Path, tokenizer: Tokenizer) -> None:
    stats = write_shards(tmp_path / "corpus", tokenizer, ["a", "b"], ["c", "d"], shards=[1, 1])
    (tmp_path / "corpus" / "00001" / "source.bin").unlink()
    corpus = TokenCorpus(tmp_path / "corpus", stats, tokenizer)
    assert len(corpus.read(np.array([[0, 1]]))) == 1
    with pytest.raises(DataError, match=r"00001.source\.bin: cannot be read"):
        corpus.read(np.array([[0, 2]]))


@pytest.mark.parametrize("file", ["source.bin", "target.offsets", "source.txt", "target.lines"])
def test_files_that_do_not_fit_are_refused(corpus: TokenCorpus, tmp_path: Path, file: str) -> None:
    path = tmp_path / "corpus" / "00000" / file
    path.write_bytes(path.read_bytes() + b"12345678")
    with pytest.raises(DataError, match=f"{file}: does not fit"):
        corpus.whole()
        corpus.source_text()
        corpus.target_text()
