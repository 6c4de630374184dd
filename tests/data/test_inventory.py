"""Prepared data tells of itself without being opened."""

from collections import Counter
from pathlib import Path

import pytest
from preparing import MakeRecipe, Sentences, changed, prepared

from nmt_cli import files
from nmt_cli.data.inventory import DroppedPair, read_inventory
from nmt_cli.errors import DataError


def test_it_tells_what_opening_would(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    made = prepared(recipe)

    inventory = read_inventory(recipe.data.prepared)

    assert inventory.fingerprint == made.fingerprint
    learned = [counts for counts in inventory.corpora if counts.name.startswith("train/")]
    assert [counts.kept for counts in learned] == [len(corpus) for corpus in made.train]
    for counts, corpus in zip(learned, made.train, strict=True):
        pairs = corpus.whole()
        assert counts.lengths["source"] == Counter(pairs.source_lengths.tolist())
        assert counts.lengths["target"] == Counter(pairs.target_lengths.tolist())
        assert counts.read == counts.kept + sum(loss.pairs for loss in counts.losses)


def test_losses_are_told_in_words_with_examples(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    recipe = make_recipe([*sentences(0, 60), "", "x" * 300], [*sentences(1, 60), "alone", "y"])
    recipe = changed(recipe, filters=[{"type": "length", "most": 250}])
    prepared(recipe)

    empty, length = read_inventory(recipe.data.prepared).corpora[0].losses

    assert (empty.reason, empty.words, empty.pairs) == ("empty", "a side is empty", 1)
    assert empty.examples == [DroppedPair(61, "", "alone")]
    assert (length.reason, length.pairs) == ("length", 1)
    assert "more than 250 characters" in length.words
    assert length.examples == [DroppedPair(62, "x" * 199 + "…", "y")]


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[]",
        '{"kind": "data prepared by nmt"}',
        '{"kind": "data prepared by nmt", "format": 1}',
        '{"kind": "other"}',
        "{",
    ],
)
def test_a_damaged_manifest_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / files.MANIFEST).write_text(content)
    with pytest.raises(DataError):
        read_inventory(tmp_path)
