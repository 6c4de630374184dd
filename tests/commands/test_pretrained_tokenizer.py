"""A recipe can use the tokenizer of any model."""

from pathlib import Path

import pytest

from nmt_cli import files
from nmt_cli.commands.preprocess import preprocess
from nmt_cli.commands.pretrained_tokenizer import pretrained_tokenizer
from nmt_cli.commands.train import train
from nmt_cli.data.prepared import open_prepared
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import DataError, ModelError, RecipeError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe

pytestmark = pytest.mark.parametrize("architecture", ["rnn"])


def taking(recipe: Path, path: str, *overrides: str) -> Recipe:
    """The recipe of a second model, which takes over the first one's tokenizer."""
    return load_recipe(recipe, [f"tokenizer.path={path}", "data.prepared=other", "run=other_run", *overrides])


@pytest.mark.slow
def test_pretrained_tokenizer_of_run_checkpoint_model_and_folder(recipe: Path) -> None:
    own = open_prepared(load_recipe(recipe)).tokenizer.fingerprint
    train(recipe)
    for path in ("run", "run/model", "run/checkpoints/step_12", "run/tokenizer", "run/model/tokenizer"):
        pretrained = pretrained_tokenizer(taking(recipe, path))
        assert pretrained is not None
        assert pretrained.fingerprint == own
    assert pretrained_tokenizer(load_recipe(recipe)) is None


def test_preprocess_uses_pretrained_tokenizer_unchanged(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    second = taking(recipe, "prepared/tokenizer", "tokenizer.vocabulary_size=30")
    preprocess(second)
    messages = capsys.readouterr().err
    assert "prepared/tokenizer" in messages
    assert "training the tokenizer" not in messages
    found = open_prepared(second).tokenizer
    assert found.fingerprint == open_prepared(load_recipe(recipe)).tokenizer.fingerprint
    preprocess(second)
    assert capsys.readouterr().err.startswith("other ")


@pytest.mark.slow
def test_train_with_changed_tokenizer_is_an_error(recipe: Path) -> None:
    second = taking(recipe, "prepared/tokenizer")
    preprocess(second)
    preprocess(load_recipe(recipe, ["tokenizer.algorithm=bpe"]))
    options = ["tokenizer.path=prepared/tokenizer", "data.prepared=other", "run=other_run"]
    with pytest.raises(DataError, match=r"^other: .*prepared/tokenizer"):
        train(recipe, options)
    files.remove(Path("prepared"))
    train(recipe, options)
    assert Tokenizer.load(Path("other_run/tokenizer")).fingerprint == open_prepared(second).tokenizer.fingerprint


def test_path_without_model_is_a_model_error(recipe: Path) -> None:
    with pytest.raises(ModelError, match="nowhere: "):
        preprocess(taking(recipe, "nowhere"))
    Path("empty").mkdir()
    with pytest.raises(ModelError, match="empty: "):
        preprocess(taking(recipe, "empty"))


def test_separate_vocabularies_with_tied_embeddings_are_an_error(recipe: Path) -> None:
    size = ["tokenizer.joint=false", "tokenizer.vocabulary_size=20"]
    separate = load_recipe(recipe, [*size, "data.prepared=separate", "model.tied_embeddings=decoder"])
    preprocess(separate)
    with pytest.raises(RecipeError, match=r"^model\.tied_embeddings: all "):
        preprocess(taking(recipe, "separate/tokenizer", "model.tied_embeddings=all"))
    preprocess(taking(recipe, "separate/tokenizer", "model.tied_embeddings=decoder"))


def test_sentencepiece_model_gets_tags_of_the_recipe(recipe: Path) -> None:
    preprocess(load_recipe(recipe))
    second = taking(recipe, "prepared/tokenizer/joint.model", "data.language_tags=true")
    pretrained = pretrained_tokenizer(second)
    assert pretrained is not None
    own = Tokenizer.load(Path("prepared/tokenizer")).source
    assert pretrained.source.entries == [*own.entries, f"<2{second.data.target_language}>"]


def test_extension_is_learned_once_from_text_of_the_recipe(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("train.de").write_bytes(Path("train.de").read_bytes().replace("fünf".encode(), b"quinque"))
    second = taking(recipe, "prepared/tokenizer", "tokenizer.extension={pieces: 3}", "data.language_tags=true")
    preprocess(second)
    own, found = Tokenizer.load(Path("prepared/tokenizer")), open_prepared(second).tokenizer
    assert found.source.entries[: own.source_size + 1] == [*own.source.entries, "<2de>"]
    assert found.source_size == own.source_size + 4
    capsys.readouterr()
    preprocess(second)
    assert capsys.readouterr().err.startswith("other ")
