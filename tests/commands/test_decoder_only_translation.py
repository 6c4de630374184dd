"""Decoder-only translators learn a toy task, and all commands work with them or refuse in one line."""

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from forked_runs import outcome, train_with_interruptions
from toy_model import save_toy_model

from nmt_cli import api
from nmt_cli.api.translator import LoadedTranslator
from nmt_cli.cli import app
from nmt_cli.commands.export import export
from nmt_cli.commands.train import train
from nmt_cli.errors import ModelError, NmtError, RecipeError
from nmt_cli.interop.exporting import FORMATS
from nmt_cli.recipe.loading import load_recipe

RECIPE = {
    "run": "run",
    "data": {
        "source_language": "en",
        "target_language": "de",
        "prepared": "prepared",
        "filters": [],
        "train": {"words": {"source": "train.en", "target": "train.de"}},
        "valid": {"dev": {"source": "dev.en", "target": "dev.de"}},
        "test": {"test": {"source": "test.en", "target": "test.de"}},
    },
    "tokenizer": {"algorithm": "word"},
    "model": {
        "architecture": "decoder_only",
        "source_attention": "bidirectional",
        **{"width": 32, "feed_forward": 64, "heads": 2, "layers": 2, "dropout": 0.0},
        "positions": {"type": "rotary"},
        **{"attention_dropout": 0.0, "activation_dropout": 0.0},
    },
    "training": {
        "update_tokens": 500,
        "label_smoothing": 0.0,
        "optimizer": {"learning_rate": 5e-3},
        "limits": {"updates": 300},
        "validation": {"every": 150, "metric": "exact_match"},
    },
    "evaluation": {"metrics": ["exact_match"], "resamples": None},
}


def pairs(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """The letters of a line in capitals; after an `e`, a letter is doubled."""
    rng = random.Random(seed)
    for _ in range(count):
        letters = [*rng.choices("abcde", k=rng.randint(1, 6)), "a"]
        doubled = [letter * (1 + (before == "e")) for before, letter in zip(["", *letters], letters, strict=False)]
        yield " ".join(letters), " ".join(doubled).upper()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe and its text in a new working directory."""
    monkeypatch.chdir(tmp_path)
    for name, count, seed in (("train", 3000, 1), ("dev", 50, 2), ("test", 200, 3)):
        for code, lines in zip(("en", "de"), zip(*pairs(count, seed), strict=True), strict=True):
            Path(f"{name}.{code}").write_text("".join(f"{line}\n" for line in lines))
    write_recipe({})
    return tmp_path


def write_recipe(changes: dict[str, object]) -> None:
    recipe = json.loads(json.dumps(RECIPE))
    for key, value in changes.items():
        section, _, name = key.rpartition(".")
        recipe[section][name] = value
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe))


@pytest.mark.slow
def test_toy_task_is_learned_and_all_commands_work_or_refuse(folder: Path) -> None:
    torch.set_num_threads(1)
    write_recipe({})
    api.preprocess("recipe.yaml")
    api.train("recipe.yaml")
    (result,) = api.evaluate("run", ["test"])
    assert max(result.values.values()) >= 99
    sources, expected = zip(*pairs(100, 4), strict=True)
    with api.load_translator("run") as translator:
        found = translator.translate(sources)
        assert sum(each.best.text == other for each, other in zip(found, expected, strict=True)) >= 98
        wide = translator.translate(sources, beam_size=5, n_best=3)
        assert {len(each.hypotheses) for each in wide} == {3}
        given = [(each.source, text) for each in wide for text in each.hypotheses]
        scores = translator.score([(source, text.text) for source, text in given])
        values = [text.log_probability for _, text in given]
        assert [each.log_probability for each in scores] == pytest.approx(values, abs=1e-3)
        assert [math.fsum(each.word_scores) for each in scores] == pytest.approx(values, abs=1e-3)
        refuse(translator)
    for models, settings in (
        (["run", "run"], {}),
        (["run"], {"precision": "int8"}),
        (["run"], {"beam_size": 1}),
        (["run"], {"strategy": "sampling", "temperature": 0.1}),
    ):
        with api.load_translator(*models, **settings) as translator:
            same = [each.best.text for each in translator.translate(sources)]
            assert sum(one == each.best.text for one, each in zip(same, found, strict=True)) >= 98
    with pytest.raises(ModelError, match=r"model\.architecture"):
        export(Path("run"), "onnx", Path("exported"))


def refuse(translator: LoadedTranslator) -> None:
    """Check that what needs attention is refused in one line that names it."""
    for settings, name in (
        ({"alignment": True}, "--alignment"),
        ({"markup": True}, "--markup"),
        ({"coverage_penalty": 0.2}, "decoding.coverage_penalty"),
        ({"replace_unknown": True}, "decoding.replace_unknown"),
    ):
        with pytest.raises(NmtError) as caught:
            translator.translate(["a b"], **settings)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


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
    save_toy_model(Path("toy"), model={**RECIPE["model"], "preset": "tiny"})  # type: ignore[dict-item]
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
    toy = save_toy_model(tmp_path / "toy", model={**RECIPE["model"], "preset": "tiny"})  # type: ignore[dict-item]
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
    recipe = json.loads(json.dumps(RECIPE))
    for name, value in changes.items():
        section, _, last = name.rpartition(".")
        (recipe[section] if section else recipe)[last] = value
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.raises(RecipeError) as caught:
        load_recipe(Path("recipe.yaml"))
    assert key in str(caught.value)


def test_tokenizer_with_two_vocabularies_is_refused(folder: Path) -> None:
    recipe = json.loads(json.dumps(RECIPE))
    recipe["tokenizer"]["joint"] = False
    recipe["model"] = {"architecture": "transformer", "preset": "tiny"}
    Path("separate.yaml").write_text(yaml.safe_dump(recipe))
    api.preprocess("separate.yaml")
    write_recipe({"tokenizer.path": "prepared/tokenizer", "data.prepared": "other"})
    with pytest.raises(RecipeError, match=r"tokenizer\.path: .* requires a joint one"):
        api.preprocess("recipe.yaml")
