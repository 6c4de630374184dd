"""A corpus reads any spans of any shards, and opens nothing before."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from shards import write_shards, written

from nmt_cli.data.token_corpus import TokenCorpus, TokenPairs, concatenate_pairs
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
        tokenizer.source.decode([pairs.sources[row].tolist() for row in rows]),
        tokenizer.target.decode([pairs.targets[row].tolist() for row in rows]),
    )


def test_read_all_returns_what_was_written(
    corpus: TokenCorpus, tokenizer: Tokenizer, sides: tuple[list[str], list[str]]
) -> None:
    pairs = corpus.read_all()
    assert corpus.name == "corpus"
    assert len(corpus) == len(pairs) == 100
    assert decoded(pairs, tokenizer) == sides
    assert (corpus.read_text()[0], corpus.read_text()[1]) == sides
    assert pairs.pair_ids.tolist() == list(range(100))
    assert pairs.sources.values.dtype == np.uint16
    assert corpus.max_length("target") == pairs.target_lengths.max()


@pytest.mark.parametrize(
    "spans", [[(0, 3)], [(38, 43)], [(99, 100), (0, 41), (5, 5)], [(7, 9), (7, 9)], [(40, 41), (41, 42)]]
)
def test_read_returns_spans_in_given_order(
    corpus: TokenCorpus, tokenizer: Tokenizer, sides: tuple[list[str], list[str]], spans: list[tuple[int, int]]
) -> None:
    stretches = np.array(spans, np.int64).reshape(-1, 2)
    expected = tuple([line for first, end in spans for line in side[first:end]] for side in sides)
    pairs = corpus.read(stretches)
    assert decoded(pairs, tokenizer) == expected
    assert corpus.read_text(stretches) == expected
    assert pairs.pair_ids.tolist() == [number for first, end in spans for number in range(first, end)]


def test_concatenate_pairs_appends_corpora(
    corpus: TokenCorpus, tokenizer: Tokenizer, sides: tuple[list[str], list[str]]
) -> None:
    both = concatenate_pairs([corpus.read(np.array([[98, 100]])), corpus.read(np.array([[0, 1]]))], [0, 100])
    assert decoded(both, tokenizer) == tuple([*side[98:], side[0]] for side in sides)
    assert both.pair_ids.tolist() == [98, 99, 100]


def test_prefix_tags_are_in_tokens_but_not_in_text(tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = written(tmp_path / "tagged", tokenizer, ["a b"], ["c"], prefix=[7, 8])
    assert corpus.prefix == [7, 8]
    assert corpus.read_all().sources[0][:2].tolist() == [7, 8]
    assert corpus.read_text()[0] == ["a b"]
    assert corpus.read_all().targets[0].tolist() == tokenizer.target.encode(["c"])[0]


def test_nothing_is_opened_before_it_is_read(tmp_path: Path, tokenizer: Tokenizer) -> None:
    stats = write_shards(tmp_path / "corpus", tokenizer, ["a", "b"], ["c", "d"], shards=[1, 1])
    (tmp_path / "corpus" / "00001" / "source.bin").unlink()
    corpus = TokenCorpus(tmp_path / "corpus", stats, tokenizer)
    assert len(corpus.read(np.array([[0, 1]]))) == 1
    with pytest.raises(DataError, match=r"00001.source\.bin: "):
        corpus.read(np.array([[0, 2]]))


@pytest.mark.parametrize("file", ["source.bin", "target.offsets", "source.txt", "target.lines"])
def test_read_rejects_files_of_wrong_size(corpus: TokenCorpus, tmp_path: Path, file: str) -> None:
    path = tmp_path / "corpus" / "00000" / file
    path.write_bytes(path.read_bytes() + b"12345678")
    with pytest.raises(DataError, match=f"{file}: "):
        corpus.read_all()
        corpus.read_text()[0]
        corpus.read_text()[1]
