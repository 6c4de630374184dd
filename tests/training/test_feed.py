"""The feed gives each pair once an epoch, in updates of the size asked for, from any place on."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, islice, takewhile
from typing import Any

import numpy as np
import pytest
import torch
from shards import written

from nmt_cli.data.blocks import blocks
from nmt_cli.data.prepared import Prepared
from nmt_cli.data.token_corpus import TokenCorpus, TokenPairs
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.devices import Rank
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.training import Training
from nmt_cli.recipe.training.subword_sampling import SubwordSampling
from nmt_cli.training import feed as feeding
from nmt_cli.training.feed import Portion, ahead, feed
from nmt_cli.training.parallel import Ranks
from nmt_cli.training.progress import Learned, Progress


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Two corpora of 200 pairs each."""
    folder = tmp_path_factory.mktemp("feed")
    words = ["ein", "zwei", "drei", "vier", "fünf", "sechs"]
    lines = [" ".join(words[(i + k) % 6] for k in range(1 + i % 5)) for i in range(200)]
    settings = TokenizerSettings(vocabulary_size=24, byte_fallback=False)
    tokenizer = Tokenizer.train(settings, lines, lines, seed=1)
    train = [written(folder / name, tokenizer, lines, lines, shards=[120, 80]) for name in ("a", "b")]
    return Prepared(tokenizer, train, {}, {"settings": {"data.max_length": 200}})


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three in an epoch of 400 pairs, so that there is something to go from and to."""
    monkeypatch.setattr(blocks, "PAIRS", 130)
    monkeypatch.setattr(blocks, "CUT_ANEW", 130)


BEGINNING, ALONE = Progress(), Ranks()


def portions(
    prepared: Prepared,
    update_tokens: int = 100,
    batch_tokens: int = 30,
    seed: int = 1,
    start: Progress = BEGINNING,
    ranks: Ranks = ALONE,
    sampling: SubwordSampling | None = None,
    **more: Any,
) -> Iterator[Portion]:
    """More settings: of the section `training`, and `weights`."""
    weights = {"a": 1.0, "b": 1.0, **more.pop("weights", {})}
    settings = Training.model_validate({"update_tokens": update_tokens, "subword_sampling": sampling, **more})
    return feed(prepared, weights, settings, batch_tokens, seed, start, ranks)


def rest_of_epoch(found: Iterator[Portion]) -> list[Portion]:
    first = next(found)
    return [first, *takewhile(lambda portion: portion.epoch == first.epoch, found)]


def pairs(portion: Portion) -> list[int]:
    """The pairs that an update learns from; those taken to stay in step do not count."""
    return [int(pair) for part in portion.parts if part.weight for pair in part.batch.pairs]


def place(portion: Portion) -> Progress:
    return Progress(epoch=portion.epoch, block=portion.block, used=portion.used, cut=portion.cut)


def test_each_pair_comes_once_in_an_epoch(prepared: Prepared) -> None:
    assert sorted(chain.from_iterable(map(pairs, rest_of_epoch(portions(prepared))))) == list(range(400))


def test_updates_have_the_tokens_asked_for_on_average(prepared: Prepared) -> None:
    sizes = [portion.target_tokens for portion in rest_of_epoch(portions(prepared))]
    assert 75 < np.mean(sizes) < 125


def test_an_update_counts_the_tokens_of_its_batches(prepared: Prepared) -> None:
    for portion in rest_of_epoch(portions(prepared)):
        assert portion.target_tokens == sum(part.batch.target_tokens for part in portion.parts)


def test_a_batch_is_never_larger_than_an_update(prepared: Prepared) -> None:
    found = rest_of_epoch(portions(prepared, update_tokens=40, batch_tokens=4096))
    assert max(part.batch.padded_tokens for portion in found for part in portion.parts) <= 40


EVERYTHING: dict[str, Any] = {
    "sampling": SubwordSampling(alpha=0.2),
    "augmentation": {"upper_case": 0.2, "title_case": 0.2, "typos": 0.3, "noise": 0.3},
    "mixing": {"temperature": 2.0},
    "weights": {"b": 0.3},
}
STAGED: dict[str, Any] = {
    "mixing": {"stages": [{"shares": {"a": 3, "b": 1}, "passes": {"a": 1.5}}, {"shares": {"b": 1}}]}
}


@pytest.mark.parametrize("settings", [{}, EVERYTHING, STAGED], ids=["plain", "everything", "staged"])
def test_the_feed_goes_on_from_any_place(prepared: Prepared, settings: dict[str, Any]) -> None:
    whole = list(islice(portions(prepared, **settings), 60))
    assert whole[-1].epoch > 1
    assert {portion.block for portion in whole} >= {0, 1}
    for number in range(50):
        rest = islice(portions(prepared, start=place(whole[number]), **settings), 4)
        for portion, expected in zip(rest, whole[number + 1 : number + 5], strict=True):
            assert place(portion) == place(expected)
            assert portion.epochs == expected.epochs
            assert portion.mixture == expected.mixture
            for part, other in zip(portion.parts, expected.parts, strict=True):
                assert part.batch.pairs.tolist() == other.batch.pairs.tolist()
                assert torch.equal(part.batch.source, other.batch.source)
                assert torch.equal(part.batch.target_in, other.batch.target_in)


def test_subword_sampling_cuts_into_more_tokens(prepared: Prepared) -> None:
    plain, sampled = (rest_of_epoch(portions(prepared, sampling=s)) for s in (None, SubwordSampling(alpha=0.2)))
    assert sum(p.target_tokens for p in sampled) > sum(p.target_tokens for p in plain)
    assert sorted(chain.from_iterable(map(pairs, sampled))) == list(range(400))


@pytest.mark.parametrize("block_pairs", [1, 64, 1000])
def test_each_pair_comes_once_in_an_epoch_whatever_the_size_of_blocks(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, block_pairs: int
) -> None:
    monkeypatch.setattr(blocks, "PAIRS", block_pairs)
    for epoch in range(2):
        found = rest_of_epoch(portions(prepared, start=Progress(epoch=epoch)))
        assert sorted(chain.from_iterable(map(pairs, found))) == list(range(400))


def test_epochs_are_counted_by_the_pairs_seen(prepared: Prepared) -> None:
    found = list(islice(portions(prepared), 60))
    epochs = [portion.epochs for portion in found]
    assert epochs == sorted(epochs)
    seen = np.cumsum([len(pairs(portion)) for portion in found]) / 400
    assert np.abs(seen - epochs).max() < 0.05
    assert rest_of_epoch(portions(prepared))[-1].epochs == 1


def test_weights_say_how_often_a_pair_comes(prepared: Prepared) -> None:
    epochs = [rest_of_epoch(portions(prepared, start=Progress(epoch=e), weights={"a": 2, "b": 0.5})) for e in (0, 1)]
    counts = [Counter(chain.from_iterable(map(pairs, found))) for found in epochs]
    for found in counts:
        assert {pair: found[pair] for pair in range(200)} == dict.fromkeys(range(200), 2)
        assert sum(found.values()) == 500
    together = counts[0] + counts[1]
    assert {pair: together[pair] for pair in range(200, 400)} == dict.fromkeys(range(200, 400), 1)


def test_stages_follow_one_another(prepared: Prepared) -> None:
    total: Counter[str] = Counter()
    found = list(islice(portions(prepared, **STAGED), 60))
    alone = next(number for number, portion in enumerate(found) if "a" not in portion.mixture)
    for portion in found[:alone]:
        total.update({name: learned.pairs for name, learned in portion.mixture.items()})
    assert total == {"a": 300, "b": 100}
    assert all(portion.mixture.keys() == {"b"} for portion in found[alone:])


@pytest.mark.parametrize("count", [1, 2])
def test_the_mixture_counts_pairs_and_tokens_of_all_ranks(prepared: Prepared, count: int) -> None:
    of_ranks = [rest_of_epoch(portions(prepared, ranks=Ranks(Rank(n, count)), weights={"b": 3})) for n in range(count)]
    progress = Progress()
    for together in zip(*of_ranks, strict=True):
        assert len({str(portion.mixture) for portion in together}) == 1
        progress.add(together[0].target_tokens, together[0].mixture)
    lengths = [int((corpus.whole().target_lengths + 1).sum()) for corpus in prepared.train]
    assert progress.mixture == {"a": Learned(200, lengths[0]), "b": Learned(600, 3 * lengths[1])}
    assert progress.target_tokens == lengths[0] + 3 * lengths[1]
    assert Progress.from_state(progress.as_state()) == progress


def test_epochs_and_seeds_have_orders_of_their_own(prepared: Prepared) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return [
            pair for p in islice(portions(prepared, seed=seed, start=Progress(epoch=epoch)), 5) for pair in pairs(p)
        ]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_ranks_share_out_what_one_would_learn_from(prepared: Prepared, count: int) -> None:
    of_ranks = [rest_of_epoch(portions(prepared, ranks=Ranks(Rank(number, count)))) for number in range(count)]
    for together in zip(*of_ranks, strict=True):
        assert len({len(portion.parts) for portion in together}) == 1
        assert (
            len(
                {
                    (portion.target_tokens, portion.epoch, portion.block, portion.used, portion.cut)
                    for portion in together
                }
            )
            == 1
        )
        learned = sum(part.batch.target_tokens for portion in together for part in portion.parts if part.weight)
        assert learned == together[0].target_tokens
        numbers = [part.number for portion in together for part in portion.parts]
        assert sorted(numbers) == list(range(len(numbers)))
    every = [pair for rank in of_ranks for portion in rank for pair in pairs(portion)]
    assert sorted(every) == list(range(400))


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3), (3, 1)])
def test_another_number_of_ranks_goes_on_with_the_epoch(prepared: Prepared, before: int, after: int) -> None:
    def rest(count: int, start: Progress) -> list[list[Portion]]:
        return [rest_of_epoch(portions(prepared, start=start, ranks=Ranks(Rank(n, count)))) for n in range(count)]

    first = [rank[:7] for rank in rest(before, Progress())]
    second = rest(after, place(first[0][-1]))
    every = [pair for rank in first + second for portion in rank for pair in pairs(portion)]
    assert sorted(every) == list(range(400))


def test_batches_made_ahead_are_the_same(prepared: Prepared) -> None:
    with closing(ahead(portions(prepared), torch.device("cpu"))) as made:
        assert [pairs(p) for p in islice(made, 60)] == [pairs(p) for p in islice(portions(prepared), 60)]


def test_an_error_while_making_batches_ahead_is_raised_where_they_are_used(prepared: Prepared) -> None:
    def broken() -> Iterator[Portion]:
        yield next(portions(prepared))
        raise ValueError("broken")

    made = ahead(broken(), torch.device("cpu"))
    next(made)
    with pytest.raises(ValueError, match="broken"):
        next(made)


def test_no_thread_is_left_when_batches_made_ahead_are_no_longer_wanted(prepared: Prepared) -> None:
    made = ahead(portions(prepared), torch.device("cpu"))
    next(made)
    made.close()
    assert "feed" not in [thread.name for thread in threading.enumerate()]


def test_no_more_than_a_block_is_read_before_the_first_batch(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, may_read = [], threading.Event()
    whole = TokenCorpus.read

    def counting(corpus: TokenCorpus, cells: np.ndarray) -> TokenPairs:
        read.append(int((cells[:, 1] - cells[:, 0]).sum()))
        assert len(read) <= 2 or may_read.wait(10), "of two corpora each"
        return whole(corpus, cells)

    monkeypatch.setattr(TokenCorpus, "read", counting)
    start = Progress(epoch=7, block=2, used=3, cut=30)
    next(portions(prepared, start=start))
    may_read.set()
    assert sum(read[:2]) <= 134


@pytest.mark.parametrize("settings", [{}, EVERYTHING], ids=["plain", "everything"])
def test_what_is_made_ahead_changes_nothing(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    ahead_of_use = list(islice(portions(prepared, **settings), 40))
    monkeypatch.setattr(feeding, "one_ahead", lambda items, name: items)
    for portion, expected in zip(islice(portions(prepared, **settings), 40), ahead_of_use, strict=True):
        for part, other in zip(portion.parts, expected.parts, strict=True):
            assert torch.equal(part.batch.source, other.batch.source)
            assert torch.equal(part.batch.labels, other.batch.labels)


def test_a_failure_while_a_block_is_made_ahead_is_told(prepared: Prepared) -> None:
    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("broken")

    made = feeding.one_ahead(failing(), "numbers")
    assert [next(made), next(made)] == [1, 2]
    with pytest.raises(ValueError, match="broken"):
        next(made)
