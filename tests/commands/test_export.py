"""nmt export is atomic and does not replace other folders."""

import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from nmt_cli import files
from nmt_cli.cli.export import export as export_command
from nmt_cli.commands.export import export
from nmt_cli.commands.loading import config_of, vocabulary_spec
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.interop.exporting import FORMATS
from nmt_cli.models import build
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.reporting.inspection import describe_path
from nmt_cli.runs.checkpoints import write_tensors
from nmt_cli.runs.directory import CONFIG, TOKENIZER, WEIGHTS


@pytest.fixture
def model(recipe: Path) -> Path:
    """A model folder with random weights."""
    return random_model(recipe)


def random_model(recipe: Path, *overrides: str) -> Path:
    settings = load_recipe(recipe, overrides)
    tokenizer = Tokenizer.load(settings.data.prepared / "tokenizer")
    weights = dict(build(settings.model, vocabulary_spec(tokenizer)).named_parameters())
    with files.new_folder(Path("model")) as folder:
        files.write_json(folder / CONFIG, config_of(settings, tokenizer).model_dump(mode="json"))
        write_tensors(folder / WEIGHTS, weights)
        tokenizer.save(folder / TOKENIZER)
        files.write_manifest(folder, {})
    return Path("model")


def test_export_replaces_older_export(model: Path) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    for _ in range(2):
        export(model, "ctranslate2", Path("out"))

    assert ctranslate2.contains_model("out")
    assert files.read_manifest(Path("out"), ModelError)["exported"] == "ctranslate2"


def test_command_line_has_all_formats() -> None:
    choices = get_args(get_args(get_type_hints(export_command, include_extras=True)["to"])[0])
    assert list(choices) == sorted(FORMATS)


def test_export_is_unverified_without_its_program(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)

    result = export(model, "huggingface", Path("out"))

    assert result == "unverified: transformers is not installed"
    assert "Unverified: transformers is not installed." in Path("out/README.md").read_text(encoding="utf-8")
    assert describe_path(Path("out")).facts["verification"] == result


@pytest.mark.parametrize("to", sorted(FORMATS))
def test_export_refuses_a_pointer_generator(to: str, recipe: Path) -> None:
    model = random_model(recipe, "model.output.type=pointer_generator", "training.subword_sampling=null")
    with pytest.raises(ModelError, match=r"^model\.output\.type: pointer_generator is not supported by "):
        export(model, to, Path("out"))

    assert not Path("out").exists()


@pytest.mark.parametrize("path", ["model", "recipe.yaml", "."])
def test_export_refuses_to_replace_other_paths(path: str, model: Path) -> None:
    with pytest.raises(RecipeError, match=f"^{path}: "):
        export(model, "ctranslate2", Path(path))

    assert (model / WEIGHTS).is_file()
