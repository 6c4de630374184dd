"""An adapter has the settings of the inputs that it was trained on: length tags, context, longest sentence."""

from pathlib import Path

import pytest
import torch
from toy_model import FINE_TUNING_RECIPE, WORDS, save_toy_model

from nmt_cli import files
from nmt_cli.commands.adapters import ExtendedVocabulary, base_identity, write_adapter
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.model_config import InputSettings
from nmt_cli.commands.preprocess import preprocess
from nmt_cli.commands.shortlist import write_shortlist
from nmt_cli.commands.train import train
from nmt_cli.commands.translate import count_context_lines
from nmt_cli.commands.translators import open_translator
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.errors import ModelError
from nmt_cli.recipe.data import Context
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.optimization import Lora

INPUTS = InputSettings(longest_sentence=37, context=Context(sentences=2), length_tags=True)
TAGS = ["length:short", "length:normal", "length:long", "sep"]


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model without tags and context."""
    monkeypatch.chdir(tmp_path)
    return save_toy_model(Path("base"))


def save_adapter(base: Path, inputs: InputSettings = INPUTS) -> Path:
    """Write an adapter that changes nothing but the tags and the settings."""
    loaded = load_model(base)
    tokenizer = loaded.tokenizer.with_tags(TAGS)
    size = len(TAGS)
    tensors = {
        f"{name}.added_rows": torch.zeros([size if axis == dimension else n for axis, n in enumerate(weight.shape)])
        for name, _, dimension in loaded.model.vocabulary_parameters()
        for weight in [loaded.model.get_parameter(name)]
    }
    folder, vocabulary = Path("adapter"), ExtendedVocabulary(tokenizer, None)
    write_adapter(folder, tensors, Lora(), base_identity(base), inputs, vocabulary)
    return folder


def test_settings_are_those_of_the_adapter(base: Path) -> None:
    adapter = save_adapter(base)
    config = load_model(base, adapter=adapter).config
    assert InputSettings.of(config) == INPUTS
    assert count_context_lines(TranslateOptions((base,), adapter=adapter)) == 2
    assert count_context_lines(TranslateOptions((base,))) == 0


@pytest.mark.parametrize(("overrides", "tag"), [((), "normal"), (("decoding.length=short",), "short")])
def test_tag_of_the_length_precedes_sources(base: Path, overrides: tuple[str, ...], tag: str) -> None:
    adapter = save_adapter(base, INPUTS.model_copy(update={"context": None}))
    translator = open_translator(TranslateOptions((base,), overrides, adapter=adapter))
    assert translator.tags.ids() == (translator.tokenizer.tag_id(f"length:{tag}"),)


def test_adapter_without_settings_keeps_those_of_the_model(base: Path) -> None:
    adapter = save_adapter(base)
    content = files.read_json(adapter / "adapter.json", ModelError)
    del content["inputs"]
    files.write_json(adapter / "adapter.json", content)
    files.write_manifest(adapter, {"format": 1})
    expected = InputSettings.of(load_model(base).config)
    assert InputSettings.of(load_model(base, adapter=adapter).config) == expected != INPUTS
    assert count_context_lines(TranslateOptions((base,), adapter=adapter)) == 0


@pytest.mark.parametrize("has_shortlist", [False, True])
def test_shortlist_of_the_model_does_not_fit_an_extended_vocabulary(base: Path, has_shortlist: bool) -> None:
    adapter = save_adapter(base, INPUTS.model_copy(update={"context": None}))
    if has_shortlist:
        Path("text").write_text("".join(f"{word}\n" for word in WORDS))
        write_shortlist(base, [Path("text"), Path("text")])
    with pytest.raises(ModelError, match=r"^decoding\.shortlist: no shortlist fits an adapter .* merged model"):
        open_translator(TranslateOptions((base,), ("decoding.shortlist=true",), adapter=adapter))


def test_training_writes_the_settings_of_its_data_to_the_adapter(base: Path) -> None:
    Path("text").write_text("".join(f"{word} {word}\n" for word in WORDS))
    Path("recipe.yaml").write_text(FINE_TUNING_RECIPE)
    settings = ["data.max_length=37", "data.length_tags=true", "training.lora={rank: 2}"]
    preprocess(load_recipe(Path("recipe.yaml"), settings))
    train(Path("recipe.yaml"), settings)
    adapted, merged = load_model(base, adapter=Path("run")).config, load_model(Path("run")).config
    assert InputSettings.of(adapted) == InputSettings.of(merged)
    assert (adapted.length_tags, adapted.longest_sentence) == (True, 37)
