"""Each pair occurs once per epoch, in updates of the requested size, from any state, on any number of ranks."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
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
    return Prepared(tokenizer, train, {}, {"adapted": {"data.max_length": 200}})


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
) -> Generator[UpdateBatches]:
    """`more` are settings of the section `training`, and `weights`."""
    weights = {"a": 1.0, "b": 1.0, **more.pop("weights", {})}
    settings = Training.model_validate({"update_tokens": update_tokens, "subword_sampling": sampling, **more})
    return iterate_updates(prepared, weights, settings, batch_tokens, seed, start, distributed)


def first_epochs(found: Iterator[UpdateBatches], num_epochs: int = 1) -> list[UpdateBatches]:
    """Return updates until all pairs of some epochs have been trained on, and no later pairs but those of the last."""
    made = list[UpdateBatches]()
    while not made or made[-1].data_state.epoch < num_epochs or made[-1].data_state.updates_ahead:
        made.append(next(found))
    return made


def pairs(*updates: UpdateBatches) -> list[int]:
    """Pair indices that updates train on; dummy batches do not count."""
    return [
        int(pair)
        for update in updates
        for each in update.micro_batches
        if not each.is_dummy
        for pair in each.batch.pair_ids
    ]


def on_ranks(
    world_size: int, make: Callable[[Distributed], Iterator[UpdateBatches]], num: int
) -> list[list[UpdateBatches]]:
    """Return the first updates of each rank, by update."""
    of_ranks = [list(islice(make(Distributed(Rank(rank, world_size))), num)) for rank in range(world_size)]
    return [list(together) for together in zip(*of_ranks, strict=True)]


def test_iterate_updates_yields_each_pair_once_per_epoch(prepared: Prepared) -> None:
    found = first_epochs(updates(prepared), 3)
    counts = Counter(pairs(*found))
    assert len(counts) == 400
    assert set(counts.values()) <= {3, 4}
    assert sum(counts.values()) == round(400 * found[-1].data_state.passes)


@pytest.mark.parametrize("update_tokens", [40, 100, 700, 3000])
def test_updates_are_within_ten_percent_of_update_tokens(prepared: Prepared, update_tokens: int) -> None:
    """3,000 target tokens are more than one epoch."""
    assert sum(int((corpus.read_all().target_lengths + 1).sum()) for corpus in prepared.train) < 3000
    for update in islice(updates(prepared, update_tokens), 20):
        assert 0.9 * update_tokens <= update.target_tokens <= 1.1 * update_tokens


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory, prepared: Prepared) -> Prepared:
    """Pairs of all lengths up to an update, and some that are longer."""
    folder, rng = tmp_path_factory.mktemp("uneven"), np.random.default_rng(3)
    lengths = [*np.minimum(rng.geometric(0.1, 300), 18), 150, 95, 120]
    sources = [" ".join(rng.choice(["ein", "zwei", "drei"], max(1, n // rng.integers(1, 4)))) for n in lengths]
    targets = [" ".join(rng.choice(["ein", "zwei", "drei"], n)) for n in lengths]
    return replace(prepared, train=[written(folder / "a", prepared.tokenizer, sources, targets)])


def test_only_a_single_longer_pair_exceeds_update_tokens(uneven: Prepared) -> None:
    lengths = uneven.train[0].read_all().target_lengths + 1
    assert (lengths > 110).sum() == 2
    found = first_epochs(updates(uneven), 3)
    for update in found:
        if update.target_tokens > 110:
            (pair,) = pairs(update)
            assert update.target_tokens == lengths[pair]
        else:
            assert update.target_tokens >= 90
    counts = Counter(pairs(*found))
    assert set(counts.values()) <= {3, 4}
    assert len(counts) == len(lengths)


def test_target_tokens_are_the_sum_over_micro_batches(prepared: Prepared) -> None:
    for update in first_epochs(updates(prepared)):
        assert update.target_tokens == sum(each.batch.target_tokens for each in update.micro_batches)


@pytest.mark.parametrize("batch_tokens", [23, 64, 4096])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_updates_have_the_same_pairs_for_any_batch_tokens_and_ranks(
    uneven: Prepared, world_size: int, batch_tokens: int
) -> None:
    for expected, together in zip(
        updates(uneven, batch_tokens=1000),
        on_ranks(world_size, lambda ranks: updates(uneven, batch_tokens=batch_tokens, distributed=ranks), 50),
        strict=False,
    ):
        assert sorted(pairs(*together)) == sorted(pairs(expected))
        for update in together:
            assert (update.target_tokens, update.exposure) == (expected.target_tokens, expected.exposure)
            assert update.data_state == expected.data_state
        assert len({len(update.micro_batches) for update in together}) == 1
        indices = [each.index for update in together for each in update.micro_batches]
        assert sorted(indices) == list(range(len(indices)))
        for each in (each for update in together for each in update.micro_batches):
            assert len(each.batch.pair_ids) == 1 or each.batch.padded_tokens <= batch_tokens
            assert len(each.batch.pair_ids) == 1 or each.batch.source.numel() <= 2 * batch_tokens


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
    plain, sampled = (first_epochs(updates(prepared, sampling=s), 3) for s in (None, SubwordSampling(alpha=0.2)))
    tokens_per_pair = [sum(p.target_tokens for p in found) / len(pairs(*found)) for found in (plain, sampled)]
    assert tokens_per_pair[1] > tokens_per_pair[0]
    assert set(Counter(pairs(*sampled)).values()) <= {3, 4}


@pytest.mark.parametrize("block_pairs", [1, 64, 1000])
def test_each_pair_occurs_once_per_epoch_for_any_block_size(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, block_pairs: int
) -> None:
    monkeypatch.setattr(blocks, "PAIRS_PER_BLOCK", block_pairs)
    counts = Counter(pairs(*first_epochs(updates(prepared), 2)))
    assert len(counts) == 400
    assert set(counts.values()) <= {2, 3}


def test_passes_grow_with_the_pairs_trained_on(prepared: Prepared) -> None:
    found = list(islice(updates(prepared), 60))
    epochs = [update.data_state.passes for update in found]
    assert epochs == sorted(epochs)
    assert epochs == pytest.approx(np.cumsum([len(pairs(update)) for update in found]) / 400, abs=0.01)


def test_passes_are_whole_after_all_pairs_of_an_epoch(prepared: Prepared, tmp_path: Path) -> None:
    lines = ["ein zwei drei vier"] * 120
    equal = replace(prepared, train=[written(tmp_path / "a", prepared.tokenizer, lines, lines)])
    length = int(equal.train[0].read_all().target_lengths[0]) + 1
    found = islice(updates(equal, update_tokens=10 * length), 12 * 7)
    assert [update.data_state.passes for update in found][11::12] == [1, 2, 3, 4, 5, 6, 7]


def test_weights_scale_how_often_a_pair_is_sampled(prepared: Prepared) -> None:
    counts = Counter(pairs(*first_epochs(updates(prepared, weights={"a": 2, "b": 0.5}), 4)))
    assert {counts[pair] for pair in range(200)} <= {8, 9, 10}
    assert {counts[pair] for pair in range(200, 400)} <= {2, 3}
    assert sum(counts.values()) < 4.5 * 500


def test_stages_follow_in_order(prepared: Prepared) -> None:
    total: Counter[str] = Counter()
    found = list(islice(updates(prepared, **STAGED), 60))
    second_stage = next(index for index, update in enumerate(found) if update.exposure.keys() == {"b"})
    for update in found[:second_stage]:
        total.update({name: exposure.pairs for name, exposure in update.exposure.items()})
    assert (
        total["a"] + sum(update.exposure["a"].pairs for update in found[second_stage:] if "a" in update.exposure) == 300
    )
    assert 60 < total["b"] < 140


@pytest.mark.parametrize("world_size", [1, 2])
def test_mixture_counts_pairs_and_tokens_over_ranks(prepared: Prepared, world_size: int) -> None:
    state, counts = TrainState(), Counter[int]()
    for together in on_ranks(world_size, lambda ranks: updates(prepared, distributed=ranks, weights={"b": 3}), 40):
        counts.update(pairs(*together))
        state.add_exposure(together[0].target_tokens, together[0].exposure)
    lengths = [corpus.read_all().target_lengths + 1 for corpus in prepared.train]
    tokens = [sum(int(lengths[n // 200][n % 200]) * counts[n] for n in ids) for ids in (range(200), range(200, 400))]
    trained = [sum(counts[n] for n in ids) for ids in (range(200), range(200, 400))]
    assert state.mixture == {"a": CorpusExposure(trained[0], tokens[0]), "b": CorpusExposure(trained[1], tokens[1])}
    assert trained[1] == pytest.approx(3 * trained[0], rel=0.1)
    assert state.target_tokens == sum(tokens)
    assert TrainState.from_state_dict(state.state_dict()) == state


def test_order_differs_between_epochs_and_seeds(prepared: Prepared) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return pairs(*islice(updates(prepared, seed=seed, start=DataState(epoch=epoch)), 5))

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3), (3, 1)])
def test_epoch_resumes_with_another_number_of_ranks_and_batch_tokens(uneven: Prepared, before: int, after: int) -> None:
    straight = list(islice(updates(uneven), 60))
    ahead = [index for index, update in enumerate(straight[:50]) if update.data_state.updates_ahead]
    for index in (0, 7, *ahead[:4]):
        first = on_ranks(before, lambda ranks: updates(uneven, distributed=ranks), index + 1)
        start = first[-1][-1].data_state
        rest = on_ranks(after, lambda ranks: updates(uneven, 100, 41, start=start, distributed=ranks), 9)  # noqa: B023
        for together, expected in zip(first + rest, straight, strict=False):
            assert sorted(pairs(*together)) == sorted(pairs(expected))


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
    with closing(updates(prepared)) as made, closing(prefetch(made)) as prefetched:
        next(prefetched)
    assert "prefetch" not in [thread.name for thread in threading.enumerate()]


def test_closing_prefetch_waits_for_the_item_under_way() -> None:
    is_started, made = threading.Event(), []

    def slow() -> Iterator[int]:
        yield 1
        is_started.set()
        time.sleep(1.5)
        made.append(2)
        yield 2

    with closing(prefetch(slow())) as prefetched:
        next(prefetched)
        assert is_started.wait(10)
    assert made == [2]


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
    found = updates(prepared, start=DataState(epoch=7, block=2, pairs_consumed=3))
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


def test_updates_have_sentences_of_several_lengths(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_iterator, "_MIN_BATCH_TOKENS", 1)
    found = first_epochs(updates(prepared))
    lengths = [{each.batch.source.shape[1] for each in update.micro_batches} for update in found]
    assert sum(map(len, lengths)) > 2 * len(lengths)
