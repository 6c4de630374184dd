"""Language models exported to transformers and CTranslate2 score and continue text as in nmt, or are refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from exported_models import run_example_here
from foreign_models import LINES, sentencepiece, write_json
from safetensors.torch import load_file
from test_decoder_only_import import ARTEFACTS, save_transformers

from nmt_cli import files
from nmt_cli.commands.export import export as export_model
from nmt_cli.commands.import_model import import_model
from nmt_cli.commands.loading import load_model
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting import language_models
from nmt_cli.interop.exporting.language_models import export, huggingface
from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.models import build
from nmt_cli.models.contract import VocabularySpec
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.decoding import BeamSettings
from nmt_cli.recipe.model import DecoderOnlySettings

SIZES = {"width": 24, "feed_forward": 40, "layers": 2, "heads": 4}
WINDOW = 60
LLAMA: dict[str, Any] = {
    "norm": {"type": "rms"}, "positions": {"type": "rotary", "base": 500.0}, "activation": "swiglu",
    "key_value_heads": 2, "bias": False,
}  # fmt: skip
GPT2: dict[str, Any] = {
    "activation": "gelu_tanh", "positions": {"type": "learned", "length": WINDOW}, "scale_embeddings": False,
}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "default": ("gpt2", {}),
    "gpt2": ("gpt2", {**GPT2, "tied_embeddings": "input", "output_bias": False}),
    "llama": ("llama", LLAMA),
    "llama with biases": ("llama", {**LLAMA, "bias": True, "head_width": 8, "activation": "geglu"}),
}
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "relative": (
        r"GPT2LMHeadModel, differs in .*model\.positions\.type: relative",
        {"positions": {"type": "relative", "buckets": 8, "max_distance": 20}},
    ),
    "post": (r"model\.norm\.position: post, not pre", {"norm": {"position": "post"}}),
    "bias": (r"model\.output_bias: True, not False", {"output_bias": True}),
    "rms": (r"LlamaForCausalLM, differs in model\.positions\.type: learned, not rotary", {**LLAMA, "positions": {}}),
    "activation": (r"model\.activation: relu is not one of Llama", {**LLAMA, "activation": "relu"}),
}
TOKENIZERS: dict[str, dict[str, Any]] = {
    "unigram": {"vocabulary_size": 350},
    "bpe": {"vocabulary_size": 350, "algorithm": "bpe", "normalization": "nfkc"},
    "character": {"algorithm": "character", "vocabulary_size": 400, "normalization": "none"},
}
DOCUMENTS = ["\n".join(LINES[i : i + 3]) for i in range(0, 18, 3)] + ["", "a\n\nb", " bal \n", LINES[0]]


def trained(name: str) -> Tokenizer:
    return Tokenizer.train(TokenizerSettings.model_validate(TOKENIZERS[name]), [], LINES, seed=1)


def new(changes: dict[str, Any], tokenizer: Tokenizer) -> ExportedModel:
    torch.manual_seed(1)
    given = {"architecture": "decoder_only", **SIZES, **changes}
    spec = VocabularySpec(tokenizer.source_size, tokenizer.target_size, tokenizer.special_tokens)
    model = build(DecoderOnlySettings.model_validate(given), spec).eval()
    for weight in model.parameters():
        if not weight.any():  # biases are zero at first
            torch.nn.init.normal_(weight, std=0.1)
    decoding = BeamSettings(beam_size=1, max_length=WINDOW)
    return ExportedModel(model, tokenizer, ("und", "en"), decoding, WINDOW, suppressed=(0, 1, 2))


def not_continued(prompts: list[str]) -> list[str]:
    return [""] * len(prompts)


@pytest.mark.parametrize(("family", "changes"), MODELS.values(), ids=MODELS)
def test_exported_folder_is_imported_and_exported_again_with_equal_bits(
    family: str, changes: dict[str, Any], document_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    (first := tmp_path / "first").mkdir()
    huggingface.write(new(changes, document_tokenizer), first)
    write_json(first / files.MANIFEST, {"normalization": document_tokenizer.normalization})
    assert json.loads((first / "config.json").read_bytes())["model_type"] == family

    import_model(first, tmp_path / "model")

    loaded = load_model(tmp_path / "model")
    assert loaded.tokenizer.encode_target(LINES) == document_tokenizer.encode_target(LINES)
    assert loaded.tokenizer.special_tokens == document_tokenizer.special_tokens
    assert loaded.config.longest_sentence == WINDOW
    (second := tmp_path / "second").mkdir()
    decoding = BeamSettings(beam_size=1, max_length=WINDOW)
    huggingface.write(
        ExportedModel(loaded.model, loaded.tokenizer, ("und", "en"), decoding, WINDOW, suppressed=(0, 1, 2)), second
    )
    for file in first.glob("*.*"):
        if file.name != files.MANIFEST:
            assert file.read_bytes() == (second / file.name).read_bytes(), file


@pytest.mark.parametrize(("message", "changes"), REFUSED.values(), ids=REFUSED)
def test_model_without_a_class_is_refused_by_its_settings(
    message: str, changes: dict[str, Any], document_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        huggingface.write(new(changes, document_tokenizer), tmp_path)


def test_other_formats_are_refused(document_tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"exported to marian; they can to ctranslate2 and huggingface"):
        export(new({}, document_tokenizer), "marian", tmp_path, DOCUMENTS, not_continued)


@pytest.mark.slow
@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize(("family", "changes"), MODELS.values(), ids=MODELS)
def test_transformers_scores_and_splits_like_nmt(
    family: str, changes: dict[str, Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    monkeypatch.setattr(language_models, "run_example", lambda folder, prompts, call: [""] * len(prompts))
    result = export(new(changes, trained(name)), "huggingface", tmp_path, DOCUMENTS, not_continued)
    assert result.startswith("verified with transformers")


@pytest.mark.parametrize(("family", "changes"), [*MODELS.values(), *list(REFUSED.values())[:3]])
def test_ctranslate2_scores_and_splits_like_nmt(
    family: str, changes: dict[str, Any], document_tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    monkeypatch.setattr(language_models, "run_example", lambda folder, prompts, call: [""] * len(prompts))
    result = export(new(changes, document_tokenizer), "ctranslate2", tmp_path, DOCUMENTS, not_continued)
    assert result.startswith("verified with ctranslate2")


def save_gpt2(folder: Path) -> None:
    shutil.copy(ARTEFACTS / "gpt2_tokenizer" / "encoder.json", folder / "vocab.json")
    shutil.copy(ARTEFACTS / "gpt2_tokenizer" / "vocab.bpe", folder / "merges.txt")
    size = {"vocab_size": 50257, "bos_token_id": 50256, "eos_token_id": 50256}
    save_transformers(folder, "gpt2", **size, n_embd=16, n_layer=1, n_head=2, n_positions=WINDOW)


def save_llama(folder: Path) -> None:
    """Without bytes, of which random runs are decoded differently."""
    model = sentencepiece(60, bos_id=1, eos_id=2, unk_id=0, normalization_rule_name="identity")
    (folder / "tokenizer.model").write_bytes(model)
    save_transformers(folder, "llama")


@pytest.mark.slow
@pytest.mark.parametrize("to", ["huggingface", "ctranslate2"])
@pytest.mark.parametrize("save", [save_gpt2, save_llama])
def test_imported_model_continues_text_like_nmt_and_keeps_its_bits(
    save: Callable[[Path], None], to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    if save is save_gpt2 and not ARTEFACTS.is_dir():
        pytest.skip("the tokenizer of GPT-2 is missing")
    monkeypatch.setattr(language_models, "run_example", run_example_here)
    (source := tmp_path / "source").mkdir()
    save(source)
    import_model(source, tmp_path / "model")
    (tmp_path / "text").write_text("\n".join(LINES[:6]) + "\n")

    result = export_model(tmp_path / "model", to, tmp_path / "exported", [tmp_path / "text"] * 2)

    assert result.endswith(", 6 of 6 greedy continuations are equal")
    if to == "huggingface":
        import_model(tmp_path / "exported", tmp_path / "again")
        first, second = load_model(tmp_path / "model"), load_model(tmp_path / "again")
        assert first.tokenizer.special_tokens == second.tokenizer.special_tokens
        assert first.tokenizer.encode_target([*LINES, "ß <s>"]) == second.tokenizer.encode_target([*LINES, "ß <s>"])
        weights, expected = (load_file(tmp_path / name / "model.safetensors") for name in ("again", "model"))
        assert weights.keys() == expected.keys()
        assert all(torch.equal(weights[name], expected[name]) for name in expected)
