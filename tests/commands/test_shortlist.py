"""`nmt shortlist`: what it makes of a corpus, where it puts it, and how translation uses it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from toy_model import TRANSFORMER, WORDS, save_toy_model

from nmt_cli import files
from nmt_cli.commands import shortlist
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.shortlist import ShortlistOptions, write_shortlist
from nmt_cli.commands.translators import open_translator
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.runs.directory import CONFIG, SHORTLIST

LINES = ["one two", "three", "five six seven", "ten"]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    threads = torch.get_num_threads()
    yield save_toy_model(tmp_path_factory.mktemp("models") / "model", beam_size=3, n_best=3)
    torch.set_num_threads(threads)


@pytest.fixture
def model(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "model"))


@pytest.fixture
def corpus(tmp_path: Path) -> list[Path]:
    """Text in which each word is translated by the next one."""
    pairs = [(one, other) for one in range(10) for other in range(10)]
    sources, targets = tmp_path / "text.en", tmp_path / "text.de"
    sources.write_text("".join(f"{WORDS[one]} {WORDS[other]}\n" for one, other in pairs))
    targets.write_text("".join(f"{WORDS[(one + 1) % 10]} {WORDS[(other + 1) % 10]}\n" for one, other in pairs))
    return [sources, targets]


def translated(model: Path, *settings: str) -> list[list[str]]:
    translator = open_translator(TranslateOptions((model,), tuple(f"decoding.{each}" for each in settings)))
    return [[found.text for found in each.hypotheses] for each in translator.translate(map(Request, LINES))]


def test_translations_consist_of_the_subwords_of_the_shortlist(model: Path, corpus: list[Path]) -> None:
    result = write_shortlist(model, corpus, ShortlistOptions(best=2, min_probability=0.3, frequent=0))

    assert result.sentences == 100
    assert 0.7 < result.coverage <= 1
    assert result.mean_size < 24
    files.read_manifest(model, ModelError)
    tokenizer, settings = load_model(model).tokenizer, ("check=false", "beam_size=1", "n_best=1", "shortlist=true")
    shortlist_of_three = {"three", "four"}
    (text,) = translated(model, *settings)[1]
    pieces = {piece for word in shortlist_of_three for piece in tokenizer.encode_target([word])[0]}
    assert set(tokenizer.encode_target([text])[0]) <= pieces


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_complete_shortlist_gives_the_same_translations(model: Path, corpus: list[Path], precision: str) -> None:
    write_shortlist(model, corpus, ShortlistOptions(best=10_000, min_probability=0, frequent=10_000))

    expected = translated(model, f"precision={precision}")

    assert translated(model, f"precision={precision}", "shortlist=true") == expected


def test_command_replaces_a_shortlist_and_keeps_the_rest(model: Path, corpus: list[Path]) -> None:
    before = files.read_manifest(model, ModelError)
    write_shortlist(model, corpus)
    first = (model / SHORTLIST).read_bytes()

    write_shortlist(model, corpus, ShortlistOptions(best=1))

    after = files.read_manifest(model, ModelError)
    assert (model / SHORTLIST).read_bytes() != first
    assert after["files"].pop(SHORTLIST)
    assert after == before
    write_shortlist(model, corpus)
    assert (model / SHORTLIST).read_bytes() == first


def test_large_corpus_is_sampled(model: Path, corpus: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortlist, "_MAX_TOKEN_PAIRS", 100)

    assert 1 < write_shortlist(model, corpus).sentences < 50


def test_model_without_a_shortlist_names_the_command(model: Path) -> None:
    with pytest.raises(ModelError, match=r"model has no shortlist; make one with nmt shortlist .*model$"):
        translated(model, "shortlist=true")


def test_shortlist_of_another_model_is_refused(model: Path, corpus: list[Path], tmp_path: Path) -> None:
    write_shortlist(model, corpus)
    other = save_toy_model(tmp_path / "other", tags=["<to:fr>"])
    shutil.copyfile(model / SHORTLIST, other / SHORTLIST)

    with pytest.raises(ModelError, match=r"other/shortlist\.safetensors: is the shortlist of another vocabulary"):
        translated(other, "shortlist=true")


def test_damaged_shortlist_is_refused(model: Path, corpus: list[Path]) -> None:
    write_shortlist(model, corpus)
    (model / SHORTLIST).write_bytes(b"\xff" * 100)

    with pytest.raises(ModelError, match=r"shortlist\.safetensors: is damaged"):
        translated(model, "shortlist=true")
    manifest = json.loads((model / files.MANIFEST).read_bytes())
    files.write_manifest(model, {key: value for key, value in manifest.items() if key != "files"})
    with pytest.raises(ModelError, match=r"^[^\n]*shortlist\.safetensors: is not a valid safetensors file[^\n]*$"):
        translated(model, "shortlist=true")


def test_model_outside_its_run_needs_a_corpus(model: Path) -> None:
    with pytest.raises(RecipeError, match=r"--corpus SOURCE TARGET"):
        write_shortlist(model)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"output": {"type": "pointer_generator"}}, "is not supported by pointer_generator"),
        ({"architecture": "ctc"}, "is not supported by CTC models"),
        ({"architecture": "decoder_only"}, "needs a source"),
    ],
)
def test_models_that_cannot_be_restricted_are_refused_by_name(
    changes: dict[str, object], reason: str, model: Path, corpus: list[Path]
) -> None:
    config = json.loads((model / CONFIG).read_bytes())
    config["model"] = {"architecture": "transformer", "preset": "tiny", **changes}
    if "architecture" in changes:
        config["decoding"] = {"strategy": "ctc"} if changes["architecture"] == "ctc" else {}
    manifest = json.loads((model / files.MANIFEST).read_bytes())
    files.write_json(model / CONFIG, config)
    files.write_manifest(model, {key: value for key, value in manifest.items() if key != "files"})

    with pytest.raises(ModelError, match=f"decoding.shortlist: {reason}"):
        write_shortlist(model, corpus)


def test_ensemble_with_a_model_that_copies_has_no_shortlist(model: Path, corpus: list[Path], tmp_path: Path) -> None:
    write_shortlist(model, corpus)
    copying = save_toy_model(tmp_path / "copying", model=TRANSFORMER | {"output": {"type": "pointer_generator"}})

    for models in ((model, copying), (copying, model)):
        options = TranslateOptions(models, ("decoding.shortlist=true",))
        with pytest.raises(ModelError, match=r"^decoding\.shortlist: is not supported by pointer_generator"):
            open_translator(options)


def test_shortlist_cannot_be_combined_with_a_language_model(model: Path, corpus: list[Path]) -> None:
    write_shortlist(model, corpus)

    with pytest.raises(RecipeError, match=r"shortlist: cannot be combined with language_model"):
        translated(model, "shortlist=true", f"language_model.path={model}")
