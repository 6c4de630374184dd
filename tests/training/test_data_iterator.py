"""Each pair occurs once per epoch, in updates of the requested size, from any state."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, count, islice, takewhile
from typing import Any

import numpy as np
import pytest
import torch
from shards import written

from nmt_cli.data import blocks
from nmt_cli.data.blocks import Block, BlockReader
from nmt_cli.data.prepared import Prepared
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.devices import Rank
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.training import SubwordSampling, Training
from nmt_cli.runs.journal import CorpusExposure
from nmt_cli.training import data_iterator
from nmt_cli.training.data_iterator import UpdateBatches, iterate_updates, prefetch
from nmt_cli.training.distributed import Distributed
from nmt_cli.training.train_state import DataState, TrainState


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Two corpora of 200 pairs each."""
    folder = tmp_path_factory.mktemp("data")
    words = ["ein", "zwei", "drei", "vier", "fünf", "sechs"]
    lines = [" ".join(words[(i + k) % 6] for k in range(1 + i % 5)) for i in range(200)]
    settings = TokenizerSettings(vocabulary_size=24, byte_fallback=False)
    tokenizer = Tokenizer.train(settings, lines, lines, seed=1)
    train = [written(folder / name, tokenizer, lines, lines, shards=[120, 80]) for name in ("a", "b")]
    return Prepared(tokenizer, train, {}, {"settings": {"data.max_length": 200}})


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use three blocks per epoch of 400 pairs."""
    monkeypatch.setattr(blocks, "PAIRS_PER_BLOCK", 130)
    monkeypatch.setattr(blocks, "PAIRS_PER_REGULARIZED_BLOCK", 130)


START, ALONE = DataState(), Distributed()


def updates(
    prepared: Prepared,
    update_tokens: int = 100,
    batch_tokens: int = 30,
    seed: int = 1,
    start: DataState = START,
    distributed: Distributed = ALONE,
    sampling: SubwordSampling | None = None,
    **more: Any,
) -> Iterator[UpdateBatches]:
    """`more` are settings of the section `training`, and `weights`."""
    weights = {"a": 1.0, "b": 1.0, **more.pop("weights", {})}
    settings = Training.model_validate({"update_tokens": update_tokens, "subword_sampling": sampling, **more})
    return iterate_updates(prepared, weights, settings, batch_tokens, seed, start, distributed)


def rest_of_epoch(found: Iterator[UpdateBatches]) -> list[UpdateBatches]:
    first = next(found)
    return [first, *takewhile(lambda update: update.data_state.epoch == first.data_state.epoch, found)]


def pairs(update: UpdateBatches) -> list[int]:
    """Pair indices that an update trains on; dummy batches do not count."""
    return [int(pair) for each in update.micro_batches if not each.is_dummy for pair in each.batch.pair_ids]


def test_iterate_updates_yields_each_pair_once_per_epoch(prepared: Prepared) -> None:
    assert sorted(chain.from_iterable(map(pairs, rest_of_epoch(updates(prepared))))) == list(range(400))


def test_updates_have_update_tokens_on_average(prepared: Prepared) -> None:
    sizes = [update.target_tokens for update in rest_of_epoch(updates(prepared))]
    assert 75 < np.mean(sizes) < 125


def test_target_tokens_are_the_sum_over_micro_batches(prepared: Prepared) -> None:
    for update in rest_of_epoch(updates(prepared)):
        assert update.target_tokens == sum(each.batch.target_tokens for each in update.micro_batches)


def test_micro_batches_are_not_larger_than_an_update(prepared: Prepared) -> None:
    found = rest_of_epoch(updates(prepared, update_tokens=40, batch_tokens=4096))
    assert max(each.batch.padded_tokens for update in found for each in update.micro_batches) <= 40


EVERYTHING: dict[str, Any] = {
    "sampling": SubwordSampling(alpha=0.2),
    "augmentation": {"upper_case": 0.2, "title_case": 0.2, "typos": 0.3, "noise": 0.3},
    "mixing": {"temperature": 2.0},
    "weights": {"b": 0.3},
}
STAGED: dict[str, Any] = {
    "mixing": {"stages": [{"weights": {"a": 3, "b": 1}, "epochs": {"a": 1.5}}, {"weights": {"b": 1}}]}
}


@pytest.mark.parametrize("settings", [{}, EVERYTHING, STAGED], ids=["plain", "everything", "staged"])
def test_iterate_updates_resumes_from_any_state(prepared: Prepared, settings: dict[str, Any]) -> None:
    straight = list(islice(updates(prepared, **settings), 60))
    assert straight[-1].data_state.epoch > 1
    assert {update.data_state.block for update in straight} >= {0, 1}
    for index in range(50):
        rest = islice(updates(prepared, start=straight[index].data_state, **settings), 4)
        for update, expected in zip(rest, straight[index + 1 : index + 5], strict=True):
            assert update.data_state == expected.data_state
            assert update.exposure == expected.exposure
            for micro_batch, other in zip(update.micro_batches, expected.micro_batches, strict=True):
                assert micro_batch.batch.pair_ids.tolist() == other.batch.pair_ids.tolist()
                assert torch.equal(micro_batch.batch.source, other.batch.source)
                assert torch.equal(micro_batch.batch.decoder_input, other.batch.decoder_input)


def test_subword_sampling_yields_more_tokens(prepared: Prepared) -> None:
    plain, sampled = (rest_of_epoch(updates(prepared, sampling=s)) for s in (None, SubwordSampling(alpha=0.2)))
    assert sum(p.target_tokens for p in sampled) > sum(p.target_tokens for p in plain)
    assert sorted(chain.from_iterable(map(pairs, sampled))) == list(range(400))


@pytest.mark.parametrize("block_pairs", [1, 64, 1000])
def test_each_pair_occurs_once_per_epoch_for_any_block_size(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, block_pairs: int
) -> None:
    monkeypatch.setattr(blocks, "PAIRS_PER_BLOCK", block_pairs)
    for epoch in range(2):
        found = rest_of_epoch(updates(prepared, start=DataState(epoch=epoch)))
        assert sorted(chain.from_iterable(map(pairs, found))) == list(range(400))


def test_passes_grow_with_the_pairs_trained_on(prepared: Prepared) -> None:
    found = list(islice(updates(prepared), 60))
    epochs = [update.data_state.passes for update in found]
    assert epochs == sorted(epochs)
    expected = np.cumsum([len(pairs(update)) for update in found]) / 400
    assert np.abs(expected - epochs).max() < 0.05
    assert rest_of_epoch(updates(prepared))[-1].data_state.passes == 1


def test_weights_scale_how_often_a_pair_is_sampled(prepared: Prepared) -> None:
    epochs = [rest_of_epoch(updates(prepared, start=DataState(epoch=e), weights={"a": 2, "b": 0.5})) for e in (0, 1)]
    counts = [Counter(chain.from_iterable(map(pairs, found))) for found in epochs]
    for found in counts:
        assert {pair: found[pair] for pair in range(200)} == dict.fromkeys(range(200), 2)
        assert sum(found.values()) == 500
    together = counts[0] + counts[1]
    assert {pair: together[pair] for pair in range(200, 400)} == dict.fromkeys(range(200, 400), 1)


def test_stages_follow_in_order(prepared: Prepared) -> None:
    total: Counter[str] = Counter()
    found = list(islice(updates(prepared, **STAGED), 60))
    second_stage = next(index for index, update in enumerate(found) if "a" not in update.exposure)
    for update in found[:second_stage]:
        total.update({name: exposure.pairs for name, exposure in update.exposure.items()})
    assert total == {"a": 300, "b": 100}
    assert all(update.exposure.keys() == {"b"} for update in found[second_stage:])


@pytest.mark.parametrize("world_size", [1, 2])
def test_mixture_counts_pairs_and_tokens_over_ranks(prepared: Prepared, world_size: int) -> None:
    of_ranks = [
        rest_of_epoch(updates(prepared, distributed=Distributed(Rank(rank, world_size)), weights={"b": 3}))
        for rank in range(world_size)
    ]
    state = TrainState()
    for together in zip(*of_ranks, strict=True):
        assert len({str(update.exposure) for update in together}) == 1
        state.add_exposure(together[0].target_tokens, together[0].exposure)
    lengths = [int((corpus.read_all().target_lengths + 1).sum()) for corpus in prepared.train]
    assert state.mixture == {"a": CorpusExposure(200, lengths[0]), "b": CorpusExposure(600, 3 * lengths[1])}
    assert state.target_tokens == lengths[0] + 3 * lengths[1]
    assert TrainState.from_state_dict(state.state_dict()) == state


def test_order_differs_between_epochs_and_seeds(prepared: Prepared) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return [
            pair for p in islice(updates(prepared, seed=seed, start=DataState(epoch=epoch)), 5) for pair in pairs(p)
        ]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


@pytest.mark.parametrize("world_size", [2, 3, 5])
def test_ranks_divide_the_batches_of_each_update(prepared: Prepared, world_size: int) -> None:
    of_ranks = [
        rest_of_epoch(updates(prepared, distributed=Distributed(Rank(rank, world_size)))) for rank in range(world_size)
    ]
    for together in zip(*of_ranks, strict=True):
        assert len({len(update.micro_batches) for update in together}) == 1
        assert len({(update.target_tokens, update.data_state) for update in together}) == 1
        trained = sum(
            each.batch.target_tokens for update in together for each in update.micro_batches if not each.is_dummy
        )
        assert trained == together[0].target_tokens
        indices = [each.index for update in together for each in update.micro_batches]
        assert sorted(indices) == list(range(len(indices)))
    every = [pair for rank in of_ranks for update in rank for pair in pairs(update)]
    assert sorted(every) == list(range(400))


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3), (3, 1)])
def test_epoch_resumes_with_another_number_of_ranks(prepared: Prepared, before: int, after: int) -> None:
    def rest(world_size: int, start: DataState) -> list[list[UpdateBatches]]:
        return [
            rest_of_epoch(updates(prepared, start=start, distributed=Distributed(Rank(rank, world_size))))
            for rank in range(world_size)
        ]

    first = [rank[:7] for rank in rest(before, DataState())]
    second = rest(after, first[0][-1].data_state)
    every = [pair for rank in first + second for update in rank for pair in pairs(update)]
    assert sorted(every) == list(range(400))


def test_prefetch_preserves_batches(prepared: Prepared) -> None:
    with closing(prefetch(updates(prepared))) as made:
        assert [pairs(p) for p in islice(made, 60)] == [pairs(p) for p in islice(updates(prepared), 60)]


def test_prefetch_raises_errors_of_its_thread() -> None:
    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("broken")

    made = prefetch(failing())
    assert [next(made), next(made)] == [1, 2]
    with pytest.raises(ValueError, match="broken"):
        next(made)


def test_closing_prefetch_ends_its_thread(prepared: Prepared) -> None:
    made = prefetch(updates(prepared))
    next(made)
    made.close()
    assert "prefetch" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize("num_ahead", [1, 3])
def test_prefetch_makes_no_more_items_than_requested(num_ahead: int) -> None:
    made, is_waiting = [], threading.Event()

    def endless() -> Iterator[int]:
        for item in count():
            made.append(item)
            if item == num_ahead:
                is_waiting.set()
            yield item

    with closing(prefetch(endless(), num_ahead)) as prefetched:
        assert next(prefetched) == 0
        assert is_waiting.wait(10), "the thread makes as many as requested"
        assert not made[num_ahead + 1 :]


def test_first_update_needs_one_block(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second block, read by a thread, is held back until the first update is there."""
    read, has_update = list[int](), threading.Event()
    read_block = BlockReader.read

    def counting_read(reader: BlockReader, epoch: int, index: int) -> Block | None:
        read.append(index)
        assert len(read) == 1 or has_update.wait(10)
        return read_block(reader, epoch, index)

    monkeypatch.setattr(BlockReader, "read", counting_read)
    found = updates(prepared, start=DataState(epoch=7, block=2, batches_consumed=3, max_tokens=30))
    next(found)
    has_update.set()
    assert read[0] == 2


@pytest.mark.parametrize("settings", [{}, EVERYTHING], ids=["plain", "everything"])
def test_prefetching_blocks_preserves_batches(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    prefetched = list(islice(updates(prepared, **settings), 40))
    monkeypatch.setattr(data_iterator, "prefetch", lambda items, num_ahead: items)
    for update, expected in zip(islice(updates(prepared, **settings), 40), prefetched, strict=True):
        for micro_batch, other in zip(update.micro_batches, expected.micro_batches, strict=True):
            assert torch.equal(micro_batch.batch.source, other.batch.source)
            assert torch.equal(micro_batch.batch.labels, other.batch.labels)


def test_started_block_keeps_its_batch_size(prepared: Prepared) -> None:
    first, *rest = rest_of_epoch(updates(prepared, batch_tokens=30))
    resumed = rest_of_epoch(updates(prepared, batch_tokens=60, start=first.data_state))
    block = [pairs(update) for update in rest if update.data_state.block == 0]
    assert [pairs(update) for update in resumed[: len(block)]] == block
    assert {(each.data_state.block, each.data_state.max_tokens) for each in resumed} == {(0, 30), (1, 60), (2, 60)}
