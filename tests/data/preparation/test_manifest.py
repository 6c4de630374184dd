"""The summary of prepared data, read from its manifest."""

from collections import Counter
from pathlib import Path

import pytest
from preparing import MakeRecipe, Sentences, changed, prepared

from nmt_cli import files
from nmt_cli.data.preparation.manifest import read_prepared_summary
from nmt_cli.data.reading import DroppedExample
from nmt_cli.errors import DataError


def test_summary_equals_the_opened_data(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    made = prepared(recipe)

    summary = read_prepared_summary(recipe.data.prepared)

    assert summary.fingerprint == made.fingerprint
    learned = [counts for counts in summary.corpora if counts.name.startswith("train/")]
    assert [counts.num_kept for counts in learned] == [len(corpus) for corpus in made.train]
    for counts, corpus in zip(learned, made.train, strict=True):
        pairs = corpus.read_all()
        assert counts.lengths["source"] == Counter(pairs.source_lengths.tolist())
        assert counts.lengths["target"] == Counter(pairs.target_lengths.tolist())
        assert counts.num_read == counts.num_kept + counts.drops.counts.total()


def test_drops_have_description_and_examples(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    recipe = make_recipe([*sentences(0, 60), "", "x" * 300], [*sentences(1, 60), "alone", "y"])
    recipe = changed(recipe, filters=[{"type": "length", "max": 250}])
    prepared(recipe)

    summary = read_prepared_summary(recipe.data.prepared)
    empty, length = summary.drops(summary.corpora[0])

    assert (empty.reason, empty.num_pairs) == ("empty", 1) and empty.description
    assert empty.examples == [DroppedExample(61, "", "alone")]
    assert (length.reason, length.num_pairs) == ("length", 1)
    assert "250" in length.description
    assert length.examples == [DroppedExample(62, "x" * 199 + "…", "y")]


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
def test_damaged_manifest_is_a_data_error(content: str, tmp_path: Path) -> None:
    (tmp_path / files.MANIFEST).write_text(content)
    with pytest.raises(DataError):
        read_prepared_summary(tmp_path)
