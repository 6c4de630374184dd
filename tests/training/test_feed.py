"""The feed gives each pair once an epoch, in updates of the size asked for, from any place on."""

import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, islice, takewhile

import numpy as np
import pytest
import torch

from nmt_cli.data.prepared import Prepared, prepare
from nmt_cli.devices import Rank
from nmt_cli.recipe.schema import Recipe
from nmt_cli.recipe.training import Training
from nmt_cli.recipe.training.subword_sampling import SubwordSampling
from nmt_cli.training.feed import Portion, ahead, feed
from nmt_cli.training.parallel import Ranks
from nmt_cli.training.progress import Progress


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("feed")
    words = ["ein", "zwei", "drei", "vier", "fünf", "sechs"]
    lines = [" ".join(words[(i + k) % 6] for k in range(1 + i % 5)) for i in range(200)]
    (folder / "text").write_bytes("".join(f"{line}\n" for line in lines).encode())
    pair = {"source": str(folder / "text"), "target": str(folder / "text")}
    recipe = Recipe.model_validate(
        {
            "run": str(folder / "run"),
            "data": {"source_language": "de", "target_language": "de", "prepared": str(folder / "prepared")}
            | {"train": {"a": pair, "b": pair}, "valid": {"a": pair}},
            "tokenizer": {"vocabulary_size": 24, "byte_fallback": False},
            "model": {"architecture": "rnn"},
        }
    )
    return prepare(recipe)


BEGINNING, ALONE = Progress(), Ranks()


def portions(
    prepared: Prepared,
    update_tokens: int = 100,
    batch_tokens: int = 30,
    seed: int = 1,
    start: Progress = BEGINNING,
    ranks: Ranks = ALONE,
    sampling: SubwordSampling | None = None,
) -> Iterator[Portion]:
    settings = Training(update_tokens=update_tokens, subword_sampling=sampling)
    return feed(prepared, settings, batch_tokens, seed, start, ranks)


def rest_of_epoch(found: Iterator[Portion]) -> list[Portion]:
    first = next(found)
    return [first, *takewhile(lambda portion: portion.epoch == first.epoch, found)]


def pairs(portion: Portion) -> list[int]:
    """The pairs that an update learns from; those taken to stay in step do not count."""
    return [int(pair) for part in portion.parts if part.weight for pair in part.batch.pairs]


def place(portion: Portion) -> Progress:
    return Progress(epoch=portion.epoch, used=portion.used, cut=portion.cut)


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


def test_the_feed_goes_on_from_any_place(prepared: Prepared) -> None:
    whole = list(islice(portions(prepared), 60))
    for number in (0, 3, 40):
        rest = islice(portions(prepared, start=place(whole[number])), 5)
        expected = whole[number + 1 : number + 6]
        assert [(pairs(p), place(p)) for p in rest] == [(pairs(p), place(p)) for p in expected]


def test_with_subword_sampling_it_goes_on_with_the_same_batches(prepared: Prepared) -> None:
    sampling = SubwordSampling(alpha=0.2)
    whole = list(islice(portions(prepared, sampling=sampling), 60))
    assert whole[-1].epoch > 1
    for number in (0, 3, 40):
        rest = islice(portions(prepared, start=place(whole[number]), sampling=sampling), 5)
        for portion, expected in zip(rest, whole[number + 1 : number + 6], strict=True):
            for part, other in zip(portion.parts, expected.parts, strict=True):
                assert torch.equal(part.batch.source, other.batch.source)
                assert torch.equal(part.batch.target_in, other.batch.target_in)
    plain = rest_of_epoch(portions(prepared))
    assert sum(p.target_tokens for p in whole if not p.epoch) > sum(p.target_tokens for p in plain)


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
        assert len({(portion.target_tokens, portion.epoch, portion.used, portion.cut) for portion in together}) == 1
        learned = sum(part.batch.target_tokens for portion in together for part in portion.parts if part.weight)
        assert learned == together[0].target_tokens
        numbers = [part.number for portion in together for part in portion.parts]
        assert sorted(numbers) == list(range(len(numbers)))
    every = [pair for rank in of_ranks for portion in rank for pair in pairs(portion)]
    assert sorted(every) == list(range(400))


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3)])
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
