"""A CTC model learns a toy task, and all commands work with it or refuse in one line."""

import json
import math
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from toy_model import save_toy_model

from nmt_cli import api
from nmt_cli.api.translator import LoadedTranslator
from nmt_cli.cli.check import check
from nmt_cli.commands.export import export
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.translators import open_translator
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.errors import ModelError, NmtError, RecipeError
from nmt_cli.recipe.decoding import CtcSearchSettings

SOUNDS = {"a": "A", "b": "B", "c": "", "d": "D", "e": "E A"}
"""The letters of the task and what becomes of them: equal tokens in a row, two of one letter, and none."""
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
    "tokenizer": {"algorithm": "word", "joint": False, "byte_fallback": False},
    "model": {
        "architecture": "ctc",
        **{"width": 32, "feed_forward": 64, "heads": 2, "encoder_layers": 1, "decoder_layers": 1, "dropout": 0.0},
    },
    "training": {
        "update_tokens": 500,
        "label_smoothing": 0.0,
        "optimizer": {"learning_rate": 5e-3},
        "limits": {"updates": 200},
        "validation": {"every": 100, "metric": "exact_match"},
    },
    "evaluation": {"metrics": ["exact_match"], "resamples": None},
}


def pairs(count: int, seed: int) -> Iterator[tuple[str, str]]:
    rng = random.Random(seed)
    for _ in range(count):
        letters = [*rng.choices("abcde", k=rng.randint(1, 6)), "a"]
        yield " ".join(letters), " ".join(filter(None, map(SOUNDS.__getitem__, letters)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe and its text in a new working directory. One training pair is too long for the upsampled source."""
    monkeypatch.chdir(tmp_path)
    for name, count, seed in (("train", 3000, 1), ("dev", 100, 2), ("test", 200, 3)):
        rows = [*pairs(count, seed), *([("a", "A A A")] if name == "train" else [])]
        for code, lines in zip(("en", "de"), zip(*rows, strict=True), strict=True):
            Path(f"{name}.{code}").write_text("".join(f"{line}\n" for line in lines))
    Path("recipe.yaml").write_text(yaml.safe_dump(RECIPE))
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
    settings = ("beam_size=4", f"ngram_model={path}", *settings)
    translator = open_translator(TranslateOptions((model,), tuple(f"decoding.{each}" for each in settings)))
    (found,) = translator.translate([Request("one two three")])
    return found.best.text


def test_ngram_model_decides_between_tokens_that_are_equally_good(toy: Path, tmp_path: Path) -> None:
    entries = load_model(toy).tokenizer.target.entries
    for favourite in ("o", "t"):
        write_arpa(tmp_path / "lm.arpa", {entry: -0.1 if entry == favourite else -9.0 for entry in entries})
        assert set(translated(toy, tmp_path / "lm.arpa", "ngram_weight=10")) == {favourite}


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
    torch.set_num_threads(1)
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
        given = [(each.source, text) for each in wide for text in each.hypotheses if "  " not in text.text]
        scores = translator.score([(source, text.text) for source, text in given])
        values = [text.log_probability for _, text in given]
        assert [each.log_probability for each in scores] == pytest.approx(values, abs=1e-3)
        assert [math.fsum(each.word_scores) for each in scores] == pytest.approx(values, abs=1e-3)
        assert translator.score([("a", "A A A")])[0].log_probability == -math.inf
        refuse(translator)
    for models, settings in ((["run", "run"], {}), (["run"], {"precision": "int8"})):
        with api.load_translator(*models, **settings) as translator:
            same = [each.best.text for each in translator.translate(sources)]
            assert sum(one == each.best.text for one, each in zip(same, found, strict=True)) >= 98
    with pytest.raises(ModelError, match=r"model\.architecture: ctc"):
        export(Path("run"), "onnx", Path("exported"))
    assert isinstance(load_model(Path("run")).decoding, CtcSearchSettings)


@pytest.mark.slow
def test_toy_task_is_learned_with_glancing(folder: Path) -> None:
    torch.set_num_threads(1)
    settings = {"model.cross_attention": True, "training.glancing": {}}
    api.preprocess("recipe.yaml", settings=settings)
    api.train("recipe.yaml", settings=settings)
    (result,) = api.evaluate("run", ["test"])
    assert max(result.values.values()) >= 99
    sources, expected = zip(*pairs(100, 4), strict=True)
    with api.load_translator("run") as translator:
        found = translator.translate(sources)
        assert sum(each.best.text == other for each, other in zip(found, expected, strict=True)) >= 98
        wide = translator.translate(sources, beam_size=5)
        assert sum(one.best.text == other.best.text for one, other in zip(found, wide, strict=True)) >= 98
        scores = translator.score([(each.source, each.best.text) for each in wide])
        values = [each.best.log_probability for each in wide]
        assert [each.log_probability for each in scores] == pytest.approx(values, abs=1e-3)
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
        with pytest.raises(NmtError) as caught:
            translator.translate(["a b"], **settings)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    for request in (
        Request("a", prefix="A"),
        Request("a", required=("A",)),
        Request("a", forbidden=("A",)),
    ):
        with pytest.raises(RecipeError, match=r"line 1: .*decoding\.strategy ctc"):
            translator.translate([request])
