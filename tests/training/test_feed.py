"""The feed gives each pair once an epoch, in updates of the size asked for, from any place on."""

from itertools import islice

import numpy as np
import pytest
import torch

from nmt_cli.data.prepared import Prepared, prepare
from nmt_cli.recipe.schema import Recipe
from nmt_cli.recipe.training import Training
from nmt_cli.recipe.training.subword_sampling import SubwordSampling
from nmt_cli.training.feed import Portion, feed


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


SETTINGS = Training(update_tokens=100, batch_tokens=30)


def first_epoch(prepared: Prepared, settings: Training = SETTINGS) -> list[Portion]:
    portions = list(islice(feed(prepared, settings, seed=1, epoch=0, used=0), 200))
    assert portions[-1].epoch > 0
    return [portion for portion in portions if portion.epoch == 0]


def test_each_pair_comes_once_in_an_epoch(prepared: Prepared) -> None:
    pairs = np.concatenate([batch.pairs for portion in first_epoch(prepared) for batch in portion.batches])
    assert sorted(pairs) == list(range(400))


def test_updates_have_the_tokens_asked_for_on_average(prepared: Prepared) -> None:
    sizes = [portion.target_tokens for portion in first_epoch(prepared)]
    assert 75 < np.mean(sizes) < 125


def test_a_batch_is_never_larger_than_an_update(prepared: Prepared) -> None:
    portions = first_epoch(prepared, Training(update_tokens=40, batch_tokens=4096))
    assert max(batch.target_in.numel() for portion in portions for batch in portion.batches) <= 40


def test_the_feed_goes_on_from_any_place(prepared: Prepared) -> None:
    whole = list(islice(feed(prepared, SETTINGS, 1, 0, 0), 60))
    for place in (0, 3, 40):
        before = whole[place]
        rest = list(islice(feed(prepared, SETTINGS, 1, before.epoch, before.used), 5))
        expected = whole[place + 1 : place + 6]
        assert [[list(b.pairs) for b in p.batches] for p in rest] == [
            [list(b.pairs) for b in p.batches] for p in expected
        ]
        assert [(p.epoch, p.used, p.epochs) for p in rest] == [(p.epoch, p.used, p.epochs) for p in expected]


def test_with_subword_sampling_it_goes_on_with_the_same_batches(prepared: Prepared) -> None:
    settings = SETTINGS.model_copy(update={"subword_sampling": SubwordSampling(alpha=0.2)})
    whole = list(islice(feed(prepared, settings, 1, 0, 0), 60))
    assert whole[-1].epoch > 1
    for place in (0, 3, 40):
        rest = islice(feed(prepared, settings, 1, whole[place].epoch, whole[place].used), 5)
        for portion, expected in zip(rest, whole[place + 1 : place + 6], strict=True):
            for batch, other in zip(portion.batches, expected.batches, strict=True):
                assert torch.equal(batch.source, other.source)
                assert torch.equal(batch.target_in, other.target_in)
    plain = first_epoch(prepared)
    assert sum(portion.target_tokens for portion in whole if not portion.epoch) > sum(p.target_tokens for p in plain)


def test_epochs_and_seeds_have_orders_of_their_own(prepared: Prepared) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return [
            int(p) for portion in islice(feed(prepared, SETTINGS, seed, epoch, 0), 5) for p in portion.batches[0].pairs
        ]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)
