"""A CTC model learns a toy task, and all commands work with it or refuse in one line."""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import letter_task
import pytest
from toy_model import save_toy_model

from nmt_cli import api
from nmt_cli.api.translator import LoadedTranslator
from nmt_cli.cli.check import check
from nmt_cli.commands.export import export
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.translate import translate
from nmt_cli.commands.translators import open_translator
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.recipe.decoding import CtcSearchSettings

SOUNDS = {"a": "A", "b": "B", "c": "", "d": "D", "e": "E A"}
"""The letters of the task and what becomes of them: equal tokens in a row, two of one letter, and none."""
RECIPE = {
    **{"tokenizer.joint": False, "tokenizer.byte_fallback": False},
    **{"model.architecture": "ctc", "model.encoder_layers": 1, "model.decoder_layers": 1},
    **{"training.limits.updates": 200, "training.validation.every": 100},
}


def pairs(count: int, seed: int) -> Iterator[letter_task.Pair]:
    for letters in letter_task.random_letters(count, seed):
        yield " ".join(letters), " ".join(filter(None, map(SOUNDS.__getitem__, letters)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe and its text in a new working directory. One training pair is too long for the upsampled source."""
    monkeypatch.chdir(tmp_path)
    letter_task.write_text(pairs, extra=[("a", "A A A")])
    letter_task.write_recipe(RECIPE)
    return tmp_path


def test_pairs_longer_than_the_upsampled_source_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(Path("recipe.yaml"), json=True)
    (found,) = [each for each in json.loads(capsys.readouterr().out)["findings"] if each["check"] == "upsampling"]
    assert found["where"] == "data.train.words"
    assert "(1)" in found["message"]
    messages = list[str]()
    api.preprocess("recipe.yaml", on_message=messages.append)
    assert [message for message in messages if "data.train.words: less than 0.1 % of the targets (1) have" in message]


def write_arpa(path: Path, log_probs: dict[str, float]) -> None:
    lines = [f"{value}\t{token}" for token, value in log_probs.items()]
    path.write_text("\n".join(["\\data\\", f"ngram 1={len(lines)}", "", "\\1-grams:", *lines, "\\end\\", ""]))


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A CTC model with random weights."""
    sizes = {"width": 16, "feed_forward": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
    return save_toy_model(tmp_path / "model", model={"architecture": "ctc", **sizes}, check=False)


def translated(model: Path, path: Path, *settings: str) -> str:
    settings = ("beam_size=4", f"ngram_model.path={path}", *settings)
    translator = open_translator(TranslateOptions((model,), tuple(f"decoding.{each}" for each in settings)))
    (found,) = translator.translate([Request("one two three")])
    return found.best.text


def test_ngram_model_decides_between_tokens_that_are_equally_good(toy: Path, tmp_path: Path) -> None:
    entries = load_model(toy).tokenizer.target.entries
    for favourite in ("o", "t"):
        write_arpa(tmp_path / "lm.arpa", {entry: -0.1 if entry == favourite else -9.0 for entry in entries})
        assert set(translated(toy, tmp_path / "lm.arpa", "ngram_model.weight=10")) == {favourite}


def test_changed_ngram_model_is_used_again(toy: Path, tmp_path: Path) -> None:
    path, output, entries = tmp_path / "lm.arpa", tmp_path / "out", load_model(toy).tokenizer.target.entries
    (tmp_path / "in").write_text("one two\n")
    settings = ("beam_size=4", f"ngram_model={{path: {path}, weight: 10}}")
    options = TranslateOptions((toy,), tuple(f"decoding.{each}" for each in settings))
    for favourite in ("o", "t"):
        write_arpa(path, {entry: -0.1 if entry == favourite else -9.0 for entry in entries})
        translate(options, tmp_path / "in", output)
        assert set(output.read_text()) == {favourite, "\n"}
    assert translate(options, tmp_path / "in", output).is_up_to_date


def test_unusable_ngram_models_are_refused_in_one_line(toy: Path, tmp_path: Path) -> None:
    write_arpa(tmp_path / "other.arpa", {"unheard-of": -1.0})
    (tmp_path / "damaged.arpa").write_text("\\data\\\n")
    os.mkfifo(tmp_path / "pipe.arpa")
    for name in ("other.arpa", "damaged.arpa", "missing.arpa", "pipe.arpa"):
        with pytest.raises(ModelError, match=r"^decoding\.ngram_model: [^\n]*$"):
            translated(toy, tmp_path / name)
    with pytest.raises(RecipeError, match=r"ngram_model: needs prefix beam search"):
        translated(toy, tmp_path / "other.arpa", "beam_size=1")


@pytest.mark.slow
def test_toy_task_is_learned_and_all_commands_work_or_refuse(folder: Path) -> None:
    letter_task.train_and_test()
    chosen = list(pairs(100, 4))
    with api.load_translator("run") as translator:
        texts = letter_task.check_learned(translator, chosen)
        assert translator.score([("a", "A A A")])[0].log_probability == -math.inf
        refuse(translator)
    letter_task.check_variants(chosen, texts, letter_task.VARIANTS[:2])
    write_arpa(Path("words.arpa"), dict.fromkeys("ABDE", -1.0))
    with api.load_translator("run", beam_size=4, ngram_model={"path": "words.arpa", "weight": 0.1}) as translator:
        assert letter_task.num_equal(translator.translate([source for source, _ in chosen]), texts) >= 90
    with pytest.raises(ModelError, match=r"model\.architecture: ctc"):
        export(Path("run"), "onnx", Path("exported"))
    assert isinstance(load_model(Path("run")).decoding, CtcSearchSettings)


@pytest.mark.slow
def test_toy_task_is_learned_with_glancing(folder: Path) -> None:
    letter_task.write_recipe({**RECIPE, "model.cross_attention": True, "training.glancing": {}})
    letter_task.train_and_test()
    sources, expected = zip(*pairs(100, 4), strict=True)
    with api.load_translator("run") as translator:
        found = translator.translate(sources)
        assert letter_task.num_equal(found, expected) >= 98
        wide = translator.translate(sources, beam_size=5)
        assert letter_task.num_equal(wide, [each.best.text for each in found]) >= 98
        letter_task.check_scores(translator, wide)
        refuse(translator)


def refuse(translator: LoadedTranslator) -> None:
    """Check that what CTC cannot offer is refused in one line that names it."""
    for settings, name in (
        ({"glossary": {"a": "B"}}, "--glossary"),
        ({"bad_words": ["A"]}, "--bad-words"),
        ({"alignment": True}, "--alignment"),
        ({"markup": True}, "--markup"),
        ({"max_length": 5}, "decoding.max_length"),
        ({"strategy": "beam"}, "decoding.strategy"),
    ):
        letter_task.check_refused(translator, settings, name)
    for request in (
        Request("a", prefix="A"),
        Request("a", required=("A",)),
        Request("a", forbidden=("A",)),
    ):
        with pytest.raises(RecipeError, match=r"line 1: .*decoding\.strategy ctc"):
            translator.translate([request])
