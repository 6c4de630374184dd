"""Each change occurs with its probability, does what its name says, and depends only on the generator."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.data.augmentation import AugmentedPairs, Augmenter
from nmt_cli.recipe.training import Augmentation
from nmt_cli.text.normalization import NORMALIZATIONS

COUNT = 2000
SOURCES = [f"ein Satz ({number}) mit Worten." for number in range(COUNT)]
TARGETS = [f"a sentence ({number}) of words!" for number in range(COUNT)]
WHOLE_SOURCE, WHOLE_TARGET = SOURCES[7], TARGETS[7]


def augmented(
    settings: dict[str, float], sources: list[str] = SOURCES, targets: list[str] = TARGETS, seed: int = 1
) -> AugmentedPairs:
    augmenter = Augmenter(Augmentation.model_validate(settings), NORMALIZATIONS["nfkc"])
    return augmenter.augment(sources, targets, np.random.default_rng(seed))


@pytest.mark.parametrize("name", sorted(Augmentation.model_fields))
@pytest.mark.parametrize("probability", [0.0, 0.1, 0.6, 1.0])
def test_augment_changes_pairs_with_given_probability(name: str, probability: float) -> None:
    found = augmented({name: probability})
    deviation = (probability * (1 - probability) / COUNT) ** 0.5
    assert abs(found.changed.mean() - probability) <= 4 * deviation
    is_other = [pair != before for pair, before in zip(pairs(found), zip(SOURCES, TARGETS, strict=True), strict=True)]
    assert is_other == found.changed.tolist()


def test_augment_applies_changes_independently() -> None:
    found = augmented({"upper_case": 0.3, "title_case": 0.4, "no_final_punctuation": 0.5})
    upper = np.array([target.isupper() for target in found.targets])
    title = np.array(["Of Words" in target for target in found.targets])
    cut = np.array([not target.endswith("!") for target in found.targets])
    for share, expected in ((upper, 0.3), (title, 0.4), (cut, 0.5), (upper & cut, 0.15), (title & cut, 0.2)):
        assert share.mean() == pytest.approx(expected, abs=0.04)


def pairs(found: AugmentedPairs) -> list[tuple[str, str]]:
    return list(zip(found.sources, found.targets, strict=True))


def test_augment_changes_case_of_both_sides() -> None:
    source, target = pairs(augmented({"upper_case": 1}))[7]
    assert (source, target) == (WHOLE_SOURCE.upper(), WHOLE_TARGET.upper())
    assert pairs(augmented({"title_case": 1}))[7] == ("Ein Satz (7) Mit Worten.", "A Sentence (7) Of Words!")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Ja.", "Ja"),
        ("Ja ...", "Ja"),
        ("Wie ?!", "Wie"),
        ("好。", "好"),
        ("...", "..."),
        ("a. b", "a. b"),
        (". .", "."),
    ],
)
def test_augment_removes_final_punctuation_unless_nothing_is_left(before: str, after: str) -> None:
    assert augmented({"no_final_punctuation": 1}, [before], ["x"]).sources == [after]
    assert augmented({"no_final_punctuation": 1}, ["x"], [before]).targets == [after]


def test_augment_changes_only_last_of_joined_sentences() -> None:
    found = augmented({"upper_case": 1, "no_final_punctuation": 1}, ["Eins.\x1eZwei."], ["One.\x1eTwo."])
    assert pairs(found) == [("Eins.\x1eZWEI", "One.\x1eTWO")]


def test_augment_typo_changes_one_letter_of_source() -> None:
    found = augmented({"typos": 1})
    assert found.targets == TARGETS
    lengths = Counter(len(after) - len(before) for after, before in zip(found.sources, SOURCES, strict=True))
    assert lengths.keys() == {-1, 0, 1}
    assert min(lengths.values()) > COUNT / 8
    assert all(after.count(" ") == before.count(" ") for after, before in zip(found.sources, SOURCES, strict=True))


def test_augment_noise_deletes_repeats_or_swaps_one_source_word() -> None:
    found = augmented({"noise": 1})
    assert found.targets == TARGETS
    kinds: Counter[str] = Counter()
    for row, (after, before) in enumerate(zip(found.sources, SOURCES, strict=True)):
        one, other = Counter(after.split(" ")), Counter(before.split(" "))
        kinds["lost" if other - one else "repeated" if one - other else "swapped"] += 1
        assert (one - other).total() + (other - one).total() <= 1
        assert [before.split(" ")[origin] for origin in found.reordered[row].source_indices] == after.split(" ")
    assert min(kinds.values()) > COUNT / 4


def test_augment_depends_only_on_generator() -> None:
    everything = dict.fromkeys(Augmentation.model_fields, 0.4)
    assert pairs(augmented(everything, seed=3)) == pairs(augmented(everything, seed=3))
    assert pairs(augmented(everything, seed=3)) != pairs(augmented(everything, seed=4))


LINES = (
    st.text(st.sampled_from("abßıŉ .!?'・。ﬁ1字あΐ"), min_size=1, max_size=15).map(NORMALIZATIONS["nfkc"]).filter(bool)
)


@given(LINES, LINES, st.integers(0, 100))
def test_augment_any_pair_stays_normalised_with_known_words(source: str, target: str, seed: int) -> None:
    normalize: Callable[[str], str] = NORMALIZATIONS["nfkc"]
    found = augmented(dict.fromkeys(Augmentation.model_fields, 0.7), [source], [target], seed)
    for line in (found.sources[0], found.targets[0]):
        assert line
        assert normalize(line) == line
    if 0 in found.reordered:
        assert len(found.reordered[0].source_indices) == found.sources[0].count(" ") + 1
        assert found.reordered[0].num_targets == found.targets[0].count(" ") + 1
    else:
        assert found.sources[0].count(" ") == source.count(" ")
