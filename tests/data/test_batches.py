"""Batches contain every pair once, have one source length, and keep the budget."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from shards import written

from nmt_cli.data.arrays import RaggedArray
from nmt_cli.data.batches import Batch, SequenceLayout, batch_by_size, collate, validation_batches
from nmt_cli.data.token_corpus import TokenPairs, concatenate_pairs
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.text.special_tokens import DEFAULT_SPECIAL_TOKENS
from nmt_cli.training.objectives.input_noise import target_token_mask

BUDGET = 120


@pytest.fixture(scope="module")
def tokenizer(sentences: Callable[[int, int], list[str]]) -> Tokenizer:
    return Tokenizer.train(TokenizerSettings(vocabulary_size=330), sentences(0, 200), sentences(1, 200), seed=1)


@pytest.fixture(scope="module")
def text(sentences: Callable[[int, int], list[str]]) -> tuple[list[str], list[str]]:
    """Sources and targets; the last ones are longer than any budget here."""
    long = [" ".join(sentences(5, 30))] * 2
    return [*sentences(2, 300), *sentences(3, 40), *long], [*sentences(3, 300), *sentences(2, 40), *long]


@pytest.fixture(scope="module")
def pairs(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer, text: tuple[list[str], list[str]]
) -> TokenPairs:
    """Those of two corpora, named by numbers of their own."""
    (sources, targets), folder = text, tmp_path_factory.mktemp("corpora")
    one = written(folder / "one", tokenizer, sources[:300], targets[:300])
    other = written(folder / "other", tokenizer, sources[300:], targets[300:])
    return concatenate_pairs([one.read_all(), other.read_all()], [1000, 2000])


def assembled(pairs: TokenPairs, rows: np.ndarray) -> Batch:
    return collate(pairs, rows, DEFAULT_SPECIAL_TOKENS)


def test_batch_by_size_contains_each_pair_once(pairs: TokenPairs) -> None:
    assert sorted(np.concatenate(batch_by_size(pairs, BUDGET, [1])).tolist()) == list(range(len(pairs)))


@pytest.mark.parametrize("budget", [1, 10, BUDGET, 100_000])
def test_batch_by_size_keeps_source_length_and_budget(pairs: TokenPairs, budget: int) -> None:
    for rows in batch_by_size(pairs, budget, [1]):
        batch = assembled(pairs, rows)  # asserts the one source length
        assert len(rows) == 1 or batch.decoder_input.numel() <= budget
        assert len(rows) == 1 or batch.source.numel() <= 2 * budget


def test_batch_by_size_reaches_the_budget_of_both_sides() -> None:
    """Four pairs of 9 + 1 source and 4 + 1 target tokens are exactly 20 target and twice 20 source tokens."""
    sources, targets = (RaggedArray(np.arange(9) * length, np.full(8 * length, 5)) for length in (9, 4))
    assert [len(rows) for rows in batch_by_size(TokenPairs(sources, targets), 20, [1])] == [4, 4]


def test_batch_by_size_fills_batches(pairs: TokenPairs) -> None:
    assert len(batch_by_size(pairs, 10_000, [1])) == len(np.unique(pairs.source_lengths))


def test_batch_by_size_depends_only_on_seed(pairs: TokenPairs) -> None:
    first, same = (batch_by_size(pairs, BUDGET, [1, 3]) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, same, strict=True))
    for seed in ([1, 4], [2, 3]):
        other_plan = batch_by_size(pairs, BUDGET, seed)
        assert np.concatenate(first).tolist() != np.concatenate(other_plan).tolist()
        assert {tuple(sorted(rows)) for rows in first} != {tuple(sorted(rows)) for rows in other_plan}


def test_batch_by_size_without_pairs_is_empty(pairs: TokenPairs) -> None:
    empty = RaggedArray(np.zeros(1, np.int64), np.empty(0, np.uint16))
    assert batch_by_size(TokenPairs(empty, empty), BUDGET, [1]) == []


def test_collate_contains_sentences_of_pairs(
    pairs: TokenPairs, tokenizer: Tokenizer, text: tuple[list[str], list[str]]
) -> None:
    sources, targets = text
    for rows in batch_by_size(pairs, BUDGET, [1]):
        batch = assembled(pairs, rows)
        assert batch.pair_ids.tolist() == [1000 + row if row < 300 else 2000 + row - 300 for row in rows.tolist()]
        assert (batch.source[:, -1] == DEFAULT_SPECIAL_TOKENS.eos).all()
        assert tokenizer.source.decode(batch.source.tolist()) == [sources[row] for row in rows]
        assert (batch.decoder_input[:, 0] == DEFAULT_SPECIAL_TOKENS.decoder_start).all()
        assert tokenizer.decode_target(batch.decoder_input.tolist()) == [targets[row] for row in rows]


def test_collate_empty_target_predicts_eos() -> None:
    pairs = TokenPairs(
        RaggedArray(np.array([0, 1]), np.array([5])), RaggedArray(np.array([0, 0]), np.empty(0, np.uint16))
    )
    batch = assembled(pairs, np.array([0]))
    assert batch.decoder_input.tolist() == [[DEFAULT_SPECIAL_TOKENS.decoder_start]]
    assert batch.labels.tolist() == [DEFAULT_SPECIAL_TOKENS.eos]


def test_collate_labels_are_next_tokens(pairs: TokenPairs) -> None:
    for rows in batch_by_size(pairs, BUDGET, [1]):
        batch = assembled(pairs, rows)
        wanted = torch.full_like(batch.decoder_input, DEFAULT_SPECIAL_TOKENS.pad)
        wanted[:, :-1] = batch.decoder_input[:, 1:]
        ends = (batch.decoder_input != DEFAULT_SPECIAL_TOKENS.pad).sum(1) - 1
        wanted[torch.arange(len(wanted)), ends] = DEFAULT_SPECIAL_TOKENS.eos
        real = wanted.flatten() != DEFAULT_SPECIAL_TOKENS.pad
        assert torch.equal(batch.label_positions, real.nonzero().squeeze(1))
        assert torch.equal(batch.labels, wanted.flatten()[real])
        assert batch.target_tokens == real.sum()


def test_validation_batches_contain_each_pair_once_in_fixed_order(pairs: TokenPairs) -> None:
    runs = [
        [batch.pair_ids.tolist() for batch in validation_batches(pairs, BUDGET, DEFAULT_SPECIAL_TOKENS)]
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert sorted(number for numbers in runs[0] for number in numbers) == sorted(pairs.pair_ids.tolist())


def test_batch_to_moves_all_tensors(pairs: TokenPairs) -> None:
    batch = assembled(pairs, np.array([0])).to(torch.device("meta"))
    assert {t.device.type for t in (batch.source, batch.decoder_input, batch.label_positions, batch.labels)} == {"meta"}


def test_batch_of_inconsistent_sizes_is_an_assertion_error(pairs: TokenPairs) -> None:
    batch = assembled(pairs, np.array([0]))
    for change in (
        {"labels": batch.labels[1:]},
        {"source": batch.source.repeat(2, 1)},
        {"pair_ids": np.arange(2)},
        {"source_columns": {"factors": torch.zeros(1, batch.source.size(1) + 1, 1)}},
    ):
        with pytest.raises(AssertionError):
            replace(batch, **change)


@pytest.mark.parametrize("layout", [SequenceLayout(*each) for each in product([True, False], [True, False], [1, 2])])
def test_layout_decides_about_eos_decoder_start_and_what_is_predicted(layout: SequenceLayout) -> None:
    targets, special = [[7, 8, 5, 6], [7, 8, 9], [7, 8]], DEFAULT_SPECIAL_TOKENS
    lengths, values = np.array([len(row) for row in targets]), np.concatenate([np.array(row) for row in targets])
    sources = RaggedArray(np.array([0, 2, 4, 6]), np.array([5, 6] * 3))
    pairs = TokenPairs(sources, RaggedArray(np.concatenate([[0], np.cumsum(lengths)]), values))

    batch = collate(pairs, np.arange(3), special, layout)

    assert batch.source.tolist() == [[5, 6, special.eos] if layout.source_eos else [5, 6]] * 3
    inputs = [[special.decoder_start, *row] if layout.decoder_start else row for row in targets]
    expected, width = list[tuple[int, int]](), max(map(len, inputs))
    for row, (read, target) in enumerate(zip(inputs, targets, strict=True)):
        assert batch.decoder_input[row].tolist() == read + [special.pad] * (width - len(read))
        predicted = [*target, special.eos][layout.prompt_length :]
        first = row * width + len(read) - len(predicted)
        expected += [(first + index, label) for index, label in enumerate(predicted)]
    assert list(zip(batch.label_positions.tolist(), batch.labels.tolist(), strict=True)) == expected
    dropped = target_token_mask(batch)
    assert dropped.sum() == sum(len(row) - layout.prompt_length for row in targets)
    assert not any(batch.decoder_input[dropped] == special.decoder_start)
    assert not any(batch.decoder_input[dropped] == 7)
