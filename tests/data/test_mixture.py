"""Weights, temperature and stages give each corpus its proportion for any block size."""

import itertools
import math
from collections import Counter

import pytest

from nmt_cli.data.blocks import DatasetMixture
from nmt_cli.recipe.training import Mixing

SIZES = {"large": 1000, "small": 101}
EVEN = dict.fromkeys(SIZES, 1.0)
each_block_size = pytest.mark.parametrize("block_pairs", [1, 7, 64, 100_000])


def taken(mixture: DatasetMixture, epochs: range) -> dict[str, list[int]]:
    """For each corpus, the places in its stream that some epochs take."""
    found: dict[str, list[int]] = {}
    for epoch in epochs:
        for block in range(mixture.num_blocks(epoch)):
            for name, places in mixture.stream_ranges(epoch, block).items():
                found.setdefault(name, []).extend(places)
    return found


@each_block_size
def test_default_epoch_is_one_pass_over_each_corpus(block_pairs: int) -> None:
    mixture = DatasetMixture(SIZES, EVEN, Mixing(), block_pairs)
    for epoch in range(3):
        assert taken(mixture, range(epoch, epoch + 1)) == {
            name: list(range(epoch * size, (epoch + 1) * size)) for name, size in SIZES.items()
        }


@each_block_size
@pytest.mark.parametrize("weight", [2, 3, 0.5, 0.1, 0.3, 0.07, 1.7])
def test_weight_is_the_number_of_passes_per_epoch(block_pairs: int, weight: float) -> None:
    mixture = DatasetMixture(SIZES, {"large": 1.0, "small": weight}, Mixing(), block_pairs)
    epochs = [taken(mixture, range(epoch, epoch + 1)) for epoch in range(10)]
    assert list(itertools.chain(*(each["large"] for each in epochs))) == list(range(10_000))
    assert list(itertools.chain(*(each["small"] for each in epochs))) == list(range(round(10 * weight * 101)))
    for each in epochs:
        assert abs(len(each["small"]) - weight * 101) <= 1


@pytest.mark.parametrize("block_pairs", [50, 200])
def test_each_block_has_its_proportion_of_each_corpus(block_pairs: int) -> None:
    mixture = DatasetMixture(SIZES, {"large": 1.0, "small": 2.0}, Mixing(), block_pairs)
    blocks = mixture.num_blocks(0)
    assert blocks == round(1202 / block_pairs)
    for block in range(blocks):
        sizes = {name: len(places) for name, places in mixture.stream_ranges(0, block).items()}
        assert abs(sizes["large"] - 1000 / blocks) <= 1
        assert abs(sizes["small"] - 202 / blocks) <= 1


@pytest.mark.parametrize("temperature", [1.5, 5, 100])
def test_temperature_flattens_proportions_and_keeps_largest_corpus(temperature: float) -> None:
    counts = {
        name: len(places)
        for name, places in taken(DatasetMixture(SIZES, EVEN, Mixing(temperature=temperature), 64), range(1)).items()
    }
    assert counts["large"] == 1000
    assert counts["small"] == pytest.approx(1000 * (101 / 1000) ** (1 / temperature), abs=1)


STAGES = Mixing.model_validate(
    {
        "stages": [
            {"weights": {"large": 7, "small": 3}, "epochs": {"large": 2}},
            {"weights": {"small": 1}, "epochs": {"small": 1.5}},
            {"weights": {"large": 1, "small": 1}},
        ]
    }
)


@each_block_size
def test_stages_end_after_their_epochs(block_pairs: int) -> None:
    mixture = DatasetMixture(SIZES, EVEN, STAGES, block_pairs)
    order: list[tuple[str, ...]] = []
    counts: list[Counter[str]] = []
    for epoch in range(4):
        for block in range(mixture.num_blocks(epoch)):
            places = mixture.stream_ranges(epoch, block)
            if block_pairs < 100_000 and block_pairs > 50:
                order.append(tuple(sorted(places)))
                counts.append(Counter({name: len(some) for name, some in places.items()}))
    places = taken(mixture, range(4))
    assert places["large"] == list(range(len(places["large"])))
    assert places["small"] == list(range(len(places["small"])))
    small_after_first = round(2000 * 3 / 7)
    alone = round(1.5 * 101)
    if order:
        only_small = [number for number, names in enumerate(order) if names == ("small",)]
        first, last = only_small[0], only_small[-1]
        assert only_small == list(range(first, last + 1))
        before, inside = sum(counts[:first], Counter()), sum(counts[first : last + 1], Counter())
        assert before == {"large": 2000, "small": small_after_first}
        assert abs(inside["small"] - alone) <= 1
        after = sum(counts[last + 1 :], Counter())
        assert abs(after["large"] - after["small"]) <= 1
        for mixed in counts[:first]:
            assert abs(mixed["large"] - 0.7 * mixed.total()) <= 2


def test_epoch_with_stages_has_as_many_pairs_as_all_corpora() -> None:
    mixture = DatasetMixture(SIZES, EVEN, STAGES, 100)
    for epoch in range(5):
        assert abs(sum(map(len, taken(mixture, range(epoch, epoch + 1)).values())) - 1101) <= 3


@pytest.mark.parametrize("settings", [Mixing(), STAGES])
def test_blocks_cover_the_epoch_without_gaps(settings: Mixing) -> None:
    mixture = DatasetMixture(SIZES, EVEN, settings, 64)
    for epoch in range(4):
        shares = [mixture.epoch_fractions(epoch, block) for block in range(mixture.num_blocks(epoch))]
        assert (shares[0][0], shares[-1][1]) == (0, 1)
        assert all(math.isclose(one[1], other[0]) for one, other in itertools.pairwise(shares))


def test_tiny_weight_yields_its_first_pair_later() -> None:
    mixture = DatasetMixture({"one": 3}, {"one": 0.1}, Mixing(), 10)
    assert taken(mixture, range(1)) == {}
    assert taken(mixture, range(10)) == {"one": [0, 1, 2]}
