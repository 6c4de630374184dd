"""Models exported to ONNX compute and translate the same in ONNX Runtime."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from exported_models import exported, translations
from test_ctranslate2 import ALL, LINES, ODD_LINES, decided, scored, transformer

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import ModelError, ResourceError
from nmt_cli.interop.exporting import onnx
from nmt_cli.interop.exporting.model_card import write_model_card
from nmt_cli.interop.exporting.verification import run_example
from nmt_cli.models import build
from nmt_cli.models.contract import Model, VocabularySpec
from nmt_cli.recipe.model import RnnSettings

TRANSFORMERS = ("pre-layer-rotary-2-swiglu-decoder", "post-rms-sinusoidal-1-gelu-none", "marian", "bart", "t5", "umt5")
RNNS: dict[str, dict[str, Any]] = {
    "gru": {"cell": "gru", "attention": "general", "input_feeding": True},
    "lstm": {"cell": "lstm", "attention": "additive", "tied_embeddings": "none"},
    "rnn": {"cell": "rnn", "attention": "none", "bidirectional": False},
}


def rnn(name: str) -> Model:
    sizes = {"width": 32, "embedding_width": 24, "encoder_layers": 2, "decoder_layers": 2}
    settings = RnnSettings.model_validate({"architecture": "rnn", "preset": "tiny", **sizes, **RNNS[name]})
    torch.manual_seed(1)
    model = build(settings, VocabularySpec(80, 80)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.1)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", [*TRANSFORMERS, *RNNS])
def test_export_scores_like_the_model(name: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    each = exported(rnn(name) if name in RNNS else decided(transformer(**ALL[name]), tokenizer), tokenizer)

    onnx.write(each, tmp_path)

    there = onnx.OnnxProgram(each, tmp_path)
    sources = tokenizer.encode_source(LINES[:3])
    expected = scored(each.model, sources, [tuple(row) for row in sources[::-1]])
    for found, row in zip(there.score(sources, sources[::-1]), expected, strict=True):
        assert found == pytest.approx(row, abs=4e-5 if name == "t5" else 5e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["marian", "gru"])
@pytest.mark.parametrize("beam_size", [1, 3])
def test_example_of_the_model_card_translates_odd_lines_alike(
    name: str, beam_size: int, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    model = rnn(name) if name in RNNS else decided(transformer(**ALL[name]), tokenizer)
    each = exported(model, tokenizer, beam_size=beam_size)
    lines = ["", *LINES[:3], *ODD_LINES, "👩\u200d👧 <unk> </s> ba\tdan", " ".join(LINES[:3]), "\t \u200b"]

    write_model_card(each, "onnx", "ONNX Runtime", onnx.write(each, tmp_path), "unverified", tmp_path)

    assert run_example(tmp_path, lines) == translations(each, lines)


def test_export_of_a_model_that_is_too_large_raises(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx, "_MAX_BYTES", 10_000)

    with pytest.raises(ModelError, match="2 GiB"):
        onnx.write(exported(decided(transformer(), tokenizer), tokenizer), tmp_path)


def test_export_without_onnx_raises(tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)

    with pytest.raises(ResourceError, match=r"'nmt-cli\[onnx\]'"):
        onnx.write(exported(decided(transformer(), tokenizer), tokenizer), tmp_path)
