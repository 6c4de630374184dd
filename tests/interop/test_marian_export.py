"""Exports to Marian have the bits of the model, and Marian gives them the same scores and translations."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exported_models import export, exported, new_tokenizer
from foreign_models import write_npz
from safetensors.numpy import load_file
from torch.testing import assert_close

from nmt_cli.commands.export import export as export_command
from nmt_cli.commands.import_model import import_model
from nmt_cli.commands.loading import load_model
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting.marian_program import MarianProgram
from nmt_cli.interop.exporting.verification import _log_probs
from nmt_cli.models import build
from nmt_cli.models.contract import Model, VocabularySpec
from nmt_cli.recipe.model import TransformerSettings
from nmt_cli.runs.directory import WEIGHTS

GOLDEN = Path(__file__).with_name("marian_golden.json")
"""What Marian 1.12.42 gave for the exports of `deterministic` models: made by `python test_marian_export.py`."""

EXPORTABLE: dict[str, Any] = {"positions": {"spacing": "t2t"}, "decoder_start": "zeros", "norm": {"epsilon": 1e-9}}
POST_NORM = {"position": "post", "epsilon": 1e-9}
KINDS: dict[str, dict[str, Any]] = {
    "pre": {},
    "post-silu-bias": {"norm": POST_NORM, "activation": "silu", "output_bias": True},
    "ssru": {"norm": POST_NORM, "decoder_self_attention": "ssru"},
    "pre-ssru-untied": {"decoder_self_attention": "ssru", "tied_embeddings": "none"},
    "decoder": {"tied_embeddings": "decoder"},
    "input": {"tied_embeddings": "input", "output_bias": False, "activation": "silu"},
}


def deterministic(tokenizer: Tokenizer, **changes: Any) -> Model:
    """A model whose parameters do not depend on a random generator."""
    sizes = {"width": 32, "feed_forward": 48, "encoder_layers": 2, "decoder_layers": 2, "heads": 4}
    settings = TransformerSettings.model_validate({"architecture": "transformer", **sizes, **EXPORTABLE, **changes})
    model = build(settings, VocabularySpec(tokenizer.source_size, tokenizer.target_size)).eval()
    with torch.no_grad():
        for index, (name, parameter) in enumerate(model.named_parameters()):
            values = np.sin(np.arange(parameter.numel()) * (12.9898 + index)) * 43758.5453
            values = (values - np.floor(values) - 0.5) * (1.0 if "embeddings" in name else 0.6)
            is_scale = "norm" in name and name.endswith("weight")
            parameter.copy_(torch.from_numpy(values.reshape(parameter.shape)) + float(is_scale))
    return model


PAIRS = [
    ([5 + (7 * i + j) % 70 for j in range(1 + i)], [9 + (5 * i + 3 * j) % 60 for j in range(1 + 2 * i)])
    for i in range(6)
]


def digest(folder: Path) -> str:
    """SHA-256 of all that Marian reads of an export, but the version in its options."""
    found = hashlib.sha256()
    for name, array in sorted(np.load(folder / "model.npz").items()):
        content = array.tobytes().partition(b"version:")[0] if name == "special:model.yml" else array.tobytes()
        found.update(f"{name} {array.shape} {array.dtype} ".encode() + content)
    for path in sorted(folder.glob("*vocab.yml")):
        found.update(path.read_bytes())
    return found.hexdigest()


@pytest.mark.parametrize("kind", KINDS)
def test_export_is_the_one_whose_scores_marian_gave(kind: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    each = exported(deterministic(tokenizer, **KINDS[kind]), tokenizer)
    export(each, "marian", tmp_path)
    golden = json.loads(GOLDEN.read_text())[kind]
    assert digest(tmp_path) == golden["digest"]
    for (source, target), scores in zip(PAIRS, golden["scores"], strict=True):
        assert _log_probs(each, source, target).tolist() == pytest.approx(scores, abs=1e-5)


@pytest.mark.parametrize(("tying", "norm"), [(("-all",), "post"), (("",), "pre"), (("-src",), "post"), ((), "pre")])
def test_imported_model_is_exported_with_equal_bits(tmp_path: Path, tying: tuple[str, ...], norm: str) -> None:
    write_npz(tmp_path / "source", tying, norm)
    import_model(tmp_path / "source", tmp_path / "model")
    export_command(tmp_path / "model", "marian", tmp_path / "exported")
    first, second = (np.load(tmp_path / name / "model.npz") for name in ("source", "exported"))
    assert set(first) == set(second)
    assert all(np.array_equal(first[name], second[name]) for name in first if name != "special:model.yml")
    import_model(tmp_path / "exported", tmp_path / "again")
    before, after = (load_file(tmp_path / name / WEIGHTS) for name in ("model", "again"))
    assert set(before) == set(after)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    configs = [load_model(tmp_path / name).config for name in ("model", "again")]
    assert configs[0] == configs[1]


@pytest.mark.parametrize("kind", ["ssru", "pre-ssru-untied"])
def test_exported_ssru_model_comes_back_with_equal_scores(kind: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    each = exported(deterministic(tokenizer, **KINDS[kind]), tokenizer)
    (tmp_path / "exported").mkdir()
    export(each, "marian", tmp_path / "exported")
    import_model(tmp_path / "exported", tmp_path / "model")
    again = exported(load_model(tmp_path / "model").model, load_model(tmp_path / "model").tokenizer)
    for source, target in PAIRS:
        assert_close(_log_probs(again, source, target), _log_probs(each, source, target), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions": {"spacing": "paper"}}, "model.positions: spacing paper"),
        ({"positions": {"spacing": "t2t", "offset": 1}}, "offset 1"),
        ({"positions": {"type": "rotary"}}, "model.positions.type: rotary"),
        ({"decoder_start": "bos"}, "model.decoder_start: bos"),
        ({"norm": {"epsilon": 1e-5}}, "model.norm.epsilon: 1e-05"),
        ({"norm": {"type": "rms", "epsilon": 1e-9}}, "model.norm: type rms"),
        ({"norm": {"embeddings": True, "epsilon": 1e-9}}, "model.norm: .*embeddings True"),
        ({"activation": "gelu"}, "model.activation: gelu"),
        ({"bias": False}, "model.bias"),
        ({"scale_embeddings": False}, "model.scale_embeddings"),
        ({"key_value_heads": 2}, "model.key_value_heads: 2"),
        ({"head_width": 4}, "model.head_width: 4"),
    ],
)
def test_what_marian_lacks_is_refused_by_recipe_key(
    changes: dict[str, Any], message: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        export(exported(deterministic(tokenizer, **changes), tokenizer), "marian", tmp_path)


@pytest.mark.parametrize("changes", [{"decoder_self_attention": "ssru"}, {"decoder_start": "zeros"}])
def test_marians_settings_are_refused_by_other_formats(
    changes: dict[str, Any], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    model = deterministic(tokenizer, **{"decoder_start": "bos"} | changes)
    with pytest.raises(ModelError, match=f"model.{next(iter(changes))}: .* only by Marian"):
        export(exported(model, tokenizer), "ctranslate2", tmp_path)


if __name__ == "__main__":
    import tempfile

    results = {}
    for kind, changes in KINDS.items():
        tokenizer_of_kind = new_tokenizer()
        with tempfile.TemporaryDirectory() as name:
            model_of_kind = exported(deterministic(tokenizer_of_kind, **changes), tokenizer_of_kind)
            print(kind, export(model_of_kind, "marian", Path(name)))
            program = MarianProgram(model_of_kind, Path(name))
            scores_of_kind = program.score(*map(list, zip(*PAIRS, strict=True)))
            results[kind] = {"digest": digest(Path(name)), "scores": scores_of_kind}
    GOLDEN.write_text(json.dumps(results, indent=1) + "\n")
