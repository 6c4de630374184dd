"""Decoder-only translators learn a toy task, and all commands work with them or refuse in one line."""

from collections.abc import Iterator
from pathlib import Path

import letter_task
import pytest
from forked_runs import outcome, train_with_interruptions
from toy_model import save_toy_model

from nmt_cli import api
from nmt_cli.cli import app
from nmt_cli.commands.export import export
from nmt_cli.commands.train import train
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.interop.exporting import FORMATS
from nmt_cli.recipe.loading import load_recipe

MODEL = {
    **letter_task.RECIPE["model"],
    "architecture": "decoder_only",
    "source_attention": "bidirectional",
    "layers": 2,
    "positions": {"type": "rotary"},
    **{"attention_dropout": 0.0, "activation_dropout": 0.0},
}


def write_recipe(changes: dict[str, object]) -> None:
    settings = {"model": MODEL, "training.limits.updates": 300, "training.validation.every": 150}
    letter_task.write_recipe(settings | changes)


def pairs(count: int, seed: int) -> Iterator[letter_task.Pair]:
    """The letters of a line in capitals; after an `e`, a letter is doubled."""
    for letters in letter_task.random_letters(count, seed):
        doubled = [letter * (1 + (before == "e")) for before, letter in zip(["", *letters], letters, strict=False)]
        yield " ".join(letters), " ".join(doubled).upper()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe and its text in a new working directory."""
    monkeypatch.chdir(tmp_path)
    letter_task.write_text(pairs)
    write_recipe({})
    return tmp_path


@pytest.mark.slow
def test_toy_task_is_learned_and_all_commands_work_or_refuse(folder: Path) -> None:
    letter_task.train_and_test()
    chosen = list(pairs(100, 4))
    with api.load_translator("run") as translator:
        texts = letter_task.check_learned(translator, chosen)
        for settings, name in (
            ({"alignment": True}, "--alignment"),
            ({"markup": True}, "--markup"),
            ({"coverage_penalty": 0.2}, "decoding.coverage_penalty"),
            ({"replace_unknown": True}, "decoding.replace_unknown"),
        ):
            letter_task.check_refused(translator, settings, name)
    letter_task.check_variants(chosen, texts)
    with pytest.raises(ModelError, match=r"model\.architecture"):
        export(Path("run"), "onnx", Path("exported"))


@pytest.mark.slow
def test_stopped_run_is_bit_identical(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"limits": {"updates": 4}, "validation": {"every": 2, "metric": "loss"}, "word_dropout": {"source": 0.2}}
    model = {"source_attention": "causal", "layer_drop": 0.2}
    changes = {f"training.{key}": value for key, value in limits.items()}
    write_recipe(changes | {f"model.{key}": value for key, value in model.items()} | {"training.source_loss": 0.5})
    api.preprocess("recipe.yaml")
    train(Path("recipe.yaml"), run_path=Path("straight"))
    train_with_interruptions(monkeypatch, "stopped", [], 2)
    assert outcome("stopped") == outcome("straight")


def test_commands_take_translators_for_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_toy_model(Path("toy"), model={**MODEL, "preset": "tiny"})
    Path("lines").write_text("one two\nthree\n")
    with pytest.raises(ModelError, match="translates sources"):
        app(["generate", "toy", "--prompt", "one"], standalone_mode=False)
    with pytest.raises(RecipeError, match="has no decoder attention"):
        app(["attention", "toy", "one", "--translation", "two", "--kind", "decoder"], standalone_mode=False)
    app(["show", "toy"], standalone_mode=False)
    assert "decoder_only" in capsys.readouterr().out
    app(["score", "toy", "--source", "lines", "--target", "lines"], standalone_mode=False)
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("to", FORMATS)
def test_no_format_takes_translators(to: str, tmp_path: Path) -> None:
    toy = save_toy_model(tmp_path / "toy", model={**MODEL, "preset": "tiny"})
    with pytest.raises(ModelError, match=r"^model\.architecture: [^\n]*$"):
        export(toy, to, tmp_path / "exported")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"model.source_attention": None}, "model.source_attention"),
        ({"tokenizer.joint": False}, "tokenizer.joint"),
        ({"training.source_loss": 0.5}, "training.source_loss"),
        ({"training.guided_alignment": {}}, "training.guided_alignment"),
        ({"training.coverage_loss": {}}, "training.coverage_loss"),
        ({"model.output": {"type": "pointer_generator"}}, "model.output"),
        ({"decoding": {"strategy": "ctc"}}, "decoding.strategy"),
    ],
)
def test_settings_that_do_not_suit_the_model_are_refused(folder: Path, changes: dict[str, object], key: str) -> None:
    write_recipe(changes)
    with pytest.raises(RecipeError) as caught:
        load_recipe(Path("recipe.yaml"))
    assert key in str(caught.value)


def test_tokenizer_with_two_vocabularies_is_refused(folder: Path) -> None:
    write_recipe({"model": {"architecture": "transformer", "preset": "tiny"}, "tokenizer.joint": False})
    api.preprocess("recipe.yaml")
    write_recipe({"tokenizer.path": "prepared/tokenizer", "data.prepared": "other"})
    with pytest.raises(RecipeError, match=r"tokenizer\.path: .* requires a joint one"):
        api.preprocess("recipe.yaml")
