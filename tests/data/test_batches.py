"""An epoch is every pair once, in batches of one source length within the budget; a batch holds what was written."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nmt_cli.data.batches import Batch, assemble, plan_epoch, validation_batches
from nmt_cli.data.corpora import Pair, Tally
from nmt_cli.data.token_corpus import TokenCorpus, write_corpus
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import TokenizerSettings

BUDGET = 120


@pytest.fixture(scope="module")
def tokenizer(sentences: Callable[[int, int], list[str]]) -> Tokenizer:
    return Tokenizer.train(TokenizerSettings(vocabulary_size=330), sentences(0, 200), sentences(1, 200), seed=1)


@pytest.fixture(scope="module")
def corpora(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer, sentences: Callable[[int, int], list[str]]
) -> list[TokenCorpus]:
    """Two corpora; the second has pairs longer than any budget here."""
    long = [" ".join(sentences(5, 30))] * 2
    texts = [(sentences(2, 300), sentences(3, 300)), (sentences(3, 40) + long, sentences(2, 40) + long)]
    return [written(tmp_path_factory.mktemp("corpus"), tokenizer, *sides) for sides in texts]


def written(folder: Path, tokenizer: Tokenizer, sources: list[str], targets: list[str]) -> TokenCorpus:
    write_corpus(folder, map(Pair, sources, targets), tokenizer, math.inf, Tally())
    return TokenCorpus(folder, tokenizer)


def assembled(corpora: list[TokenCorpus], pairs: np.ndarray) -> Batch:
    return assemble(corpora, pairs, Tokenizer.start, Tokenizer.end, Tokenizer.pad)


def test_each_pair_comes_once_in_an_epoch(corpora: list[TokenCorpus]) -> None:
    plan = plan_epoch(corpora, BUDGET, seed=1, epoch=0)
    assert sorted(np.concatenate(plan).tolist()) == list(range(sum(map(len, corpora))))


@pytest.mark.parametrize("budget", [1, 10, BUDGET, 100_000])
def test_batches_have_one_source_length_and_keep_the_budget(corpora: list[TokenCorpus], budget: int) -> None:
    for pairs in plan_epoch(corpora, budget, seed=1, epoch=0):
        batch = assembled(corpora, pairs)  # asserts the one source length
        assert len(pairs) == 1 or batch.target_in.numel() <= budget
        assert len(pairs) == 1 or batch.source.numel() <= 2 * budget


def test_batches_are_as_full_as_the_budget_allows(corpora: list[TokenCorpus]) -> None:
    plan = plan_epoch(corpora, 10_000, seed=1, epoch=0)
    lengths = np.concatenate([corpus.source_lengths for corpus in corpora])
    assert len(plan) == len(np.unique(lengths))


def test_seed_and_epoch_decide_the_plan(corpora: list[TokenCorpus]) -> None:
    plan, same = (plan_epoch(corpora, BUDGET, seed=1, epoch=3) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(plan, same, strict=True))
    for seed, epoch in ((1, 4), (2, 3)):
        other_plan = plan_epoch(corpora, BUDGET, seed, epoch)
        assert np.concatenate(plan).tolist() != np.concatenate(other_plan).tolist()
        assert {tuple(sorted(pairs)) for pairs in plan} != {tuple(sorted(pairs)) for pairs in other_plan}


def test_an_assembled_batch_holds_its_sentences(corpora: list[TokenCorpus], tokenizer: Tokenizer) -> None:
    sources = [line for corpus in corpora for line in corpus.source_text()]
    targets = [line for corpus in corpora for line in corpus.target_text()]
    for pairs in plan_epoch(corpora, BUDGET, seed=1, epoch=0):
        batch = assembled(corpora, pairs)
        assert np.array_equal(batch.pairs, pairs)
        assert (batch.source[:, -1] == Tokenizer.end).all()
        assert tokenizer.source.decode(batch.source.tolist()) == [sources[pair] for pair in pairs]
        assert (batch.target_in[:, 0] == Tokenizer.start).all()
        assert tokenizer.decode_target(batch.target_in.tolist()) == [targets[pair] for pair in pairs]


def test_labels_are_the_next_token_at_each_real_position(corpora: list[TokenCorpus]) -> None:
    for pairs in plan_epoch(corpora, BUDGET, seed=1, epoch=0):
        batch = assembled(corpora, pairs)
        wanted = torch.full_like(batch.target_in, Tokenizer.pad)
        wanted[:, :-1] = batch.target_in[:, 1:]
        rows = (batch.target_in != Tokenizer.pad).sum(1) - 1
        wanted[torch.arange(len(wanted)), rows] = Tokenizer.end
        real = wanted.flatten() != Tokenizer.pad
        assert torch.equal(batch.positions, real.nonzero().squeeze(1))
        assert torch.equal(batch.labels, wanted.flatten()[real])
        assert batch.target_tokens == real.sum()


def test_validation_has_each_pair_once_in_a_fixed_order(corpora: list[TokenCorpus]) -> None:
    runs = [
        [batch.pairs.tolist() for batch in validation_batches(corpora[0], BUDGET, start=2, end=3, pad=0)]
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert sorted(pair for pairs in runs[0] for pair in pairs) == list(range(len(corpora[0])))


def test_a_batch_moves_whole(corpora: list[TokenCorpus]) -> None:
    batch = assembled(corpora, np.array([0])).to(torch.device("meta"))
    assert {t.device.type for t in (batch.source, batch.target_in, batch.positions, batch.labels)} == {"meta"}
