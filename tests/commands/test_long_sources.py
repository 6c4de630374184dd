"""Models for long sources learn a toy task, and all commands work with them or refuse in one line."""

from collections.abc import Iterator
from pathlib import Path

import letter_task
import pytest
from forked_runs import outcome, train_with_interruptions
from toy_model import TRANSFORMER, save_toy_model

from nmt_cli import api
from nmt_cli.cli import app
from nmt_cli.commands.export import export
from nmt_cli.commands.train import train
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.interop.exporting import FORMATS
from nmt_cli.recipe.loading import load_recipe

ENCODERS = {
    "hierarchical": {"type": "hierarchical", "segment_tokens": 3},
    "local": {"type": "local", "block_tokens": 1, "global_tokens": 2},
}
MODEL = {
    **letter_task.RECIPE["model"],
    "architecture": "transformer",
    "encoder_layers": 3,
    "decoder_layers": 2,
    **{"attention_dropout": 0.0, "activation_dropout": 0.0},
}
some_encoders = pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS.keys())


def write_recipe(changes: dict[str, object]) -> None:
    settings = {"model": MODEL, "training.limits.updates": 300, "training.validation.every": 150}
    letter_task.write_recipe(settings | changes)


def pairs(count: int, seed: int) -> Iterator[letter_task.Pair]:
    """Whether a line has an `e`, and its letters in capitals."""
    for letters in letter_task.random_letters(count, seed):
        yield " ".join(letters), " ".join(["+" if "e" in letters else "-", *letters]).upper()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe and its text in a new working directory."""
    monkeypatch.chdir(tmp_path)
    letter_task.write_text(pairs)
    write_recipe({})
    return tmp_path


@pytest.mark.slow
@some_encoders
def test_toy_task_is_learned_and_all_commands_work(encoder: dict[str, object], folder: Path) -> None:
    write_recipe({"model.encoder": encoder})
    letter_task.train_and_test()
    chosen = list(pairs(100, 4))
    with api.load_translator("run") as translator:
        texts = letter_task.check_learned(translator, chosen, alignment=True)
    letter_task.check_variants(chosen, texts)


@pytest.mark.slow
@some_encoders
def test_stopped_run_is_bit_identical(
    encoder: dict[str, object], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"limits": {"updates": 4}, "validation": {"every": 2, "metric": "loss"}}
    model = {"encoder": encoder, "layer_drop": 0.2, "dropout": 0.1, "attention_dropout": 0.1}
    write_recipe({f"training.{key}": value for key, value in limits.items()} | {"model": MODEL | model})
    api.preprocess("recipe.yaml")
    train(Path("recipe.yaml"), run_path=Path("straight"))
    train_with_interruptions(monkeypatch, "stopped", [], 2)
    assert outcome("stopped") == outcome("straight")


@some_encoders
def test_commands_read_the_model_or_refuse(
    encoder: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_toy_model(Path("toy"), model={**TRANSFORMER, "encoder_layers": 2, "encoder": encoder})
    Path("lines").write_text("one two three four\nthree\n")
    app(["show", "toy"], standalone_mode=False)
    assert str(encoder["type"]) in capsys.readouterr().out
    app(["score", "toy", "--source", "lines", "--target", "lines"], standalone_mode=False)
    assert len(capsys.readouterr().out.splitlines()) == 2
    app(["attention", "toy", "one", "--translation", "two"], standalone_mode=False)
    with pytest.raises(RecipeError, match=r"model\.encoder"):
        app(["attention", "toy", "one", "--translation", "two", "--kind", "encoder"], standalone_mode=False)


@some_encoders
@pytest.mark.parametrize("to", FORMATS)
def test_no_format_takes_the_model(encoder: dict[str, object], to: str, tmp_path: Path) -> None:
    toy = save_toy_model(tmp_path / "toy", model={**TRANSFORMER, "encoder_layers": 2, "encoder": encoder})
    with pytest.raises(ModelError, match=r"^model\.encoder: [^\n]*$"):
        export(toy, to, tmp_path / "exported")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"model.encoder": {"type": "hierarchical", "document_layers": 3}}, "model.encoder.document_layers"),
        ({"model.encoder": {"type": "hierarchical", "segment_tokens": 0}}, "model.encoder.segment_tokens"),
        ({"model.encoder": {"segment_tokens": 8}}, "model.encoder"),
        ({"model.encoder": {"type": "local", "global_tokens": 0}}, "model.encoder.global_tokens"),
        ({"model.encoder": {"type": "local"}, "model.positions": {"type": "relative"}}, "model.encoder"),
        ({"model.encoder": {"type": "tree"}}, "model.encoder"),
    ],
)
def test_settings_that_do_not_suit_the_encoder_are_refused(folder: Path, changes: dict[str, object], key: str) -> None:
    write_recipe(changes)
    with pytest.raises(RecipeError) as caught:
        load_recipe(Path("recipe.yaml"))
    assert key in str(caught.value)
