"""A block contains its part of each corpus and is the same whenever it is read."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shards import write_shards, written

from nmt_cli.data.blocks import Block, BlockReader
from nmt_cli.data.subword_sampling.regularizer import SubwordRegularizer
from nmt_cli.data.token_corpus import TokenCorpus, TokenPairs
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.training import Augmentation, Mixing, SubwordSampling

Sentences = Callable[[int, int], list[str]]
EVEN = {"one": 1.0, "other": 1.0}


@pytest.fixture(scope="module")
def tokenizer(sentences: Sentences) -> Tokenizer:
    return Tokenizer.train(TokenizerSettings(vocabulary_size=330), sentences(0, 200), sentences(1, 200), seed=1)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer, sentences: Sentences) -> list[TokenCorpus]:
    """The second is tagged."""
    folder = tmp_path_factory.mktemp("corpora")
    one = written(folder / "one", tokenizer, sentences(2, 300), sentences(3, 300), shards=[100, 200])
    return [one, written(folder / "other", tokenizer, sentences(4, 50), sentences(5, 50), prefix=[9])]


def blocks_of(blocks: BlockReader, epoch: int) -> list[Block]:
    found, number = [], 0
    while block := blocks.read(epoch, number):
        found.append(block)
        number += 1
    return found


@pytest.mark.parametrize("size", [1, 10, 64, 1000])
def test_blocks_of_epoch_contain_each_pair_once(corpora: list[TokenCorpus], size: int) -> None:
    blocks = BlockReader(corpora, EVEN, Mixing(), 1, block_pairs=size)
    for epoch in range(3):
        found = blocks_of(blocks, epoch)
        assert sorted(int(number) for block in found for number in block.pairs.pair_ids) == list(range(350))
        assert (found[0].passes_before, found[-1].passes_after) == (epoch, epoch + 1)
        assert max(len(block.pairs) for block in found) <= 1.5 * size + 2


def test_block_identifies_its_pairs(corpora: list[TokenCorpus]) -> None:
    whole = [corpus.read_all() for corpus in corpora]
    for block in blocks_of(BlockReader(corpora, EVEN, Mixing(), 1, block_pairs=100), 0):
        for row, (number, corpus) in enumerate(zip(block.pairs.pair_ids, block.corpus_ids, strict=True)):
            assert corpus == (number >= 300)
            original = int(number) - 300 * int(corpus)
            assert block.pairs.sources[row].tolist() == whole[corpus].sources[original].tolist()
            assert block.pairs.targets[row].tolist() == whole[corpus].targets[original].tolist()


def test_repeated_corpus_is_sampled_differently_each_time(corpora: list[TokenCorpus], tokenizer: Tokenizer) -> None:
    regularizer = SubwordRegularizer(tokenizer, SubwordSampling(alpha=0.1), None, 200)
    block = BlockReader(corpora, {"one": 1, "other": 3}, Mixing(), 1, regularizer).read(0, 0)
    assert block is not None
    cuts = [
        {tuple(block.pairs.targets[row]) for row in np.flatnonzero(block.pairs.pair_ids == n)} for n in range(300, 350)
    ]
    assert np.bincount(block.pairs.pair_ids).tolist() == [1] * 300 + [3] * 50
    assert sum(len(some) > 1 for some in cuts) > 5
    assert all(block.pairs.sources[row][0] == 9 for row in np.flatnonzero(block.corpus_ids))


def contents(block: Block | None) -> list[list[int]]:
    assert block is not None
    return [
        part.tolist() for side in (block.pairs.sources, block.pairs.targets) for part in (side.offsets, side.values)
    ]


@pytest.mark.parametrize("sampling", [None, SubwordSampling(alpha=0.2)])
@pytest.mark.parametrize("augmentation", [None, Augmentation(upper_case=0.3, typos=0.3, noise=0.3)])
def test_block_depends_only_on_seed_epoch_and_index(
    corpora: list[TokenCorpus],
    tokenizer: Tokenizer,
    sampling: SubwordSampling | None,
    augmentation: Augmentation | None,
) -> None:
    def blocks(seed: int) -> BlockReader:
        regularizer = SubwordRegularizer(tokenizer, sampling, augmentation, 200) if sampling or augmentation else None
        return BlockReader(corpora, EVEN, Mixing(), seed, regularizer, 100)

    one = blocks(1)
    for number in (2, 0, 1):  # in no order
        assert contents(one.read(1, number)) == contents(blocks(1).read(1, number))
    assert len({str(contents(blocks(seed).read(epoch, 0))) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_block_tokens_match_augmented_text(corpora: list[TokenCorpus], tokenizer: Tokenizer) -> None:
    regularizer = SubwordRegularizer(tokenizer, None, Augmentation(upper_case=0.5), 10_000)
    block = BlockReader(corpora, EVEN, Mixing(), 1, regularizer).read(0, 0)
    assert block is not None
    text = [line for corpus in corpora for line in corpus.read_text()[1]]
    found = tokenizer.target.decode([block.pairs.targets[row].tolist() for row in range(350)])
    upper = 0
    for line, number in zip(found, block.pairs.pair_ids.tolist(), strict=True):
        assert line in (text[number], text[number].upper())
        upper += line.isupper()
    assert 130 < upper < 220


def test_block_with_tiny_weight_is_empty(corpora: list[TokenCorpus]) -> None:
    block = BlockReader(corpora[1:], {"other": 0.001}, Mixing(), 1).read(0, 0)
    assert block is not None
    assert len(block.pairs) == 0
    assert BlockReader(corpora[1:], {"other": 0.001}, Mixing(), 1).read(0, 1) is None


def test_block_of_huge_corpus_reads_only_its_spans(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stats = replace(write_shards(tmp_path / "huge", tokenizer, ["a"], ["b"]), shard_sizes=[1_000_000] * 100)
    corpus, asked = TokenCorpus(tmp_path / "huge", stats, tokenizer), []
    nothing = corpus.read(np.empty((0, 2), np.int64))

    def reading(corpus: TokenCorpus, spans: np.ndarray) -> TokenPairs:
        asked.append(spans)
        return nothing

    monkeypatch.setattr(TokenCorpus, "read", reading)
    BlockReader([corpus], {"huge": 1.0}, Mixing(), 1).read(3, 40)
    (spans,) = asked
    assert (spans[:, 1] - spans[:, 0]).sum() == pytest.approx(2**20, rel=0.01)
    assert len(spans) < 1030
    assert np.ptp(spans) > 99_000_000, "they are from everywhere"
