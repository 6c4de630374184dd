"""Training of the tokenizer on the kept pairs, and pretrained tokenizers."""

from pathlib import Path

import pytest
from preparing import MakeRecipe, Sentences, changed, prepared

from nmt_cli.data.preparation.preparing import prepare
from nmt_cli.data.prepared import is_current, open_prepared
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.errors import DataError


@pytest.fixture
def pretrained(make_recipe: MakeRecipe, sentences: Sentences) -> Tokenizer:
    """A tokenizer learned elsewhere, without normalisation."""
    settings = make_recipe(normalization="none", algorithm="bpe", vocabulary_size=320).tokenizer
    return Tokenizer.train(settings, sentences(5, 60), sentences(6, 60), seed=1)


def test_pretrained_tokenizer_is_used_unchanged(make_recipe: MakeRecipe, pretrained: Tokenizer, tmp_path: Path) -> None:
    recipe = make_recipe(["a  b"] * 60, path=str(tmp_path / "other"))
    made = prepared(recipe, pretrained)
    assert made.tokenizer.fingerprint == pretrained.fingerprint
    assert made.train[0].read_text()[0] == ["a  b"] * 60  # its own normalisation leaves both spaces
    assert made.train[0].read_all().sources[0].tolist() == pretrained.encode_source(["a  b"])[0]
    assert is_current(recipe, pretrained)
    assert open_prepared(recipe).fingerprint == made.fingerprint  # though the other is not there any more


def test_other_tokenizer_settings_are_ignored_with_a_pretrained_tokenizer(
    make_recipe: MakeRecipe, pretrained: Tokenizer
) -> None:
    prepare(make_recipe(path="there"), pretrained)
    assert is_current(make_recipe(path="elsewhere", vocabulary_size=1000, algorithm="bpe"), pretrained)


def test_different_pretrained_tokenizer_makes_data_outdated(
    make_recipe: MakeRecipe, sentences: Sentences, pretrained: Tokenizer
) -> None:
    recipe = make_recipe(path="other")
    new = Tokenizer.train(recipe.tokenizer, sentences(0, 60), sentences(1, 60), seed=1)
    prepare(recipe, pretrained)
    assert not is_current(recipe, new)
    with pytest.raises(DataError, match=r"^[^:]*prepared: .*\bother\b"):
        open_prepared(recipe, new)
    with pytest.raises(DataError, match=r"^[^:]*prepared: .*tokenizer"):
        open_prepared(make_recipe())
    prepare(make_recipe())
    assert not is_current(recipe, pretrained)
    with pytest.raises(DataError, match=r"^[^:]*prepared: .*\bother\b"):
        open_prepared(recipe)


def test_tokenizer_training_ignores_dropped_pairs(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    sources, targets = sentences(0, 60), sentences(1, 60)
    plain = prepared(make_recipe(sources, targets)).tokenizer.fingerprint
    spoiled = make_recipe([*sources, "xyz" * 50], [*targets, "xyz"])
    assert prepared(spoiled).tokenizer.fingerprint != plain
    filtered = changed(spoiled, filters=[{"type": "length", "max": 100}], max_length=150)
    assert prepared(filtered).tokenizer.fingerprint == plain


def test_tokenizer_training_counts_equal_pairs_once(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    sources, targets = sentences(0, 60), sentences(1, 60)
    plain = prepared(make_recipe(sources, targets)).tokenizer.fingerprint
    assert prepared(make_recipe(sources + sources[:9] * 3, targets + targets[:9] * 3)).tokenizer.fingerprint == plain


def test_monolingual_text_is_used_for_tokenizer_training(
    make_recipe: MakeRecipe, sentences: Sentences, tmp_path: Path
) -> None:
    (tmp_path / "more").write_text("".join(f"{line}\n" for line in [*sentences(3, 200), *["xyzzy"] * 50]))
    made = prepared(make_recipe(monolingual={"target": [str(tmp_path / "more")]}))
    assert any("zz" in piece for piece in made.tokenizer.target.entries[260:])
    assert len(made.train[0]) == 60


def test_tokenizer_training_samples_large_corpora(
    make_recipe: MakeRecipe, sentences: Sentences, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nmt_cli.data.preparation import tokenizer_training

    text = sum(len(line) + 1 for side in (0, 1) for line in sentences(side, 2000))
    monkeypatch.setattr(tokenizer_training, "MAX_CHARACTERS", text // 4)
    monkeypatch.setattr(tokenizer_training, "_CHUNK_RECORDS", 10)
    seen, train = list[str](), Vocabulary.train

    def spying(settings: object, texts: object, *rest: object) -> Vocabulary:
        seen[:] = list(texts)  # type: ignore[call-overload]
        return train(settings, seen, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Vocabulary, "train", spying)
    made = prepared(make_recipe(sentences(0, 2000), sentences(1, 2000)))
    assert 600 < len(seen) < 1400  # of both languages
    assert seen[-1] in sentences(1, 2000)[-200:]  # from all of it
    assert len(made.train[0]) == 2000
