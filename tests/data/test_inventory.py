"""Prepared data tells of itself without being opened."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt_cli import files
from nmt_cli.data.inventory import count_lengths, read_inventory
from nmt_cli.data.prepared import prepare
from nmt_cli.errors import DataError
from nmt_cli.recipe.schema import Recipe


def test_it_tells_what_opening_would(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe()
    prepared = prepare(recipe)

    inventory = read_inventory(recipe.data.prepared)

    assert inventory.fingerprint == prepared.fingerprint
    learned = [counts for counts in inventory.corpora if counts.name.startswith("train/")]
    assert [counts.kept for counts in learned] == [len(corpus) for corpus in prepared.train]
    for counts, corpus in zip(learned, prepared.train, strict=True):
        lengths = count_lengths(recipe.data.prepared / counts.name)
        assert lengths["source"] == Counter(corpus.source_lengths.tolist())
        assert lengths["target"] == Counter(corpus.target_lengths.tolist())
        assert counts.read == counts.kept + sum(counts.dropped.values())


@pytest.mark.parametrize("content", ["{}", "[]", '{"kind": "data prepared by nmt"}', '{"kind": "other"}', "{"])
def test_a_damaged_manifest_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / files.MANIFEST).write_text(content)
    with pytest.raises(DataError):
        read_inventory(tmp_path)


def test_lengths_that_are_gone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"source\.offsets"):
        count_lengths(tmp_path)
