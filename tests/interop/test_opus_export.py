"""Models of OPUS-MT, imported and perhaps trained further, become models of transformers with Marian's tokenizer."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from exported_models import export, exported, run_example_here
from foreign_models import LINES, write_json, write_npz, write_opus_scripts
from safetensors.torch import load_file

from nmt_cli import files
from nmt_cli.commands.import_model import import_model
from nmt_cli.commands.loading import load_model
from nmt_cli.data.tokenizing.segmenter import PieceKind
from nmt_cli.interop.exporting import verification
from nmt_cli.interop.exporting.huggingface import HuggingFaceProgram, write
from nmt_cli.interop.exporting.model import ExportedModel

UPPER = [line.upper() for line in LINES]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "run_example", run_example_here)


@pytest.fixture
def opus(tmp_path: Path) -> Path:
    """A model of OPUS-MT with two target languages, imported."""
    write_npz(tmp_path / "opus", languages=("deu", "fra"), target_lines=UPPER)
    write_opus_scripts(tmp_path / "opus")
    import_model(tmp_path / "opus", tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for an export."""
    (tmp_path / "exported").mkdir()
    return tmp_path / "exported"


def into_french(model: Path) -> ExportedModel:
    loaded = load_model(model)
    tag = loaded.tokenizer.tag_id("2fra")
    each = exported(loaded.model, loaded.tokenizer, languages=("eng", "fra"), source_prefix=(tag,))
    return replace(each, language_tokens=loaded.config.language_tokens)


def test_exported_model_is_imported_with_equal_bits(opus: Path, folder: Path, tmp_path: Path) -> None:
    write(into_french(opus), folder)
    write_json(folder / files.MANIFEST, {"normalization": "opus"})

    import_model(folder, tmp_path / "again")

    settings = json.loads((folder / "tokenizer_config.json").read_bytes())
    assert (settings["tokenizer_class"], settings["target_lang"]) == ("MarianTokenizer", "fra")
    first, second = load_model(opus), load_model(tmp_path / "again")
    assert first.tokenizer.normalization == "opus"
    assert first.tokenizer.fingerprint == second.tokenizer.fingerprint
    assert second.config.target_language == "fra"
    weights, expected = (load_file(model / "model.safetensors") for model in (tmp_path / "again", opus))
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


@pytest.mark.slow
def test_text_becomes_the_same_tokens_and_back(opus: Path, folder: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    each = into_french(opus)
    write(each, folder)
    tokenizer, unk = each.tokenizer, each.tokenizer.special_tokens.unk
    lines = [
        "BAL",
        "bal BAL xyz zBALz",
        "</s> <unk> <pad> >>deu<< bal",
        ">>fra<< bal",
        "„bal”，…",
        "",
        *UPPER[:3],
        *LINES,
    ]

    there, rows = HuggingFaceProgram(each, folder), tokenizer.encode_source(lines)

    assert there.encode_source(lines) == rows
    assert any(unk in row for row in tokenizer.encode_source(LINES))  # a piece that the vocabulary lacks
    source = {piece.text for piece in tokenizer.source.segmenter.pieces if piece.kind == PieceKind.NORMAL}
    assert {tokenizer.source.entries[i] for i in rows[0]} - source  # a character of the target side
    targets = [row for row in tokenizer.encode_target(UPPER) if unk not in row]
    assert there.decode_target(targets) == tokenizer.decode_target(targets)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Recommended")  # a package that transformers does not use
def test_fine_tuned_model_begins_with_zeros_there_too(opus: Path, folder: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    each = into_french(opus)
    start = each.tokenizer.special_tokens.pad
    with torch.no_grad():
        each.model.get_parameter("embeddings.target.weight")[start] = 0.3  # as label smoothing changes it

    result = export(each, "huggingface", folder, (LINES[:5], UPPER[:5]))

    assert result.endswith("5 of 5 translations are equal")
    assert not load_file(folder / "model.safetensors")["model.shared.weight"][start].any()
