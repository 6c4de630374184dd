"""Configurations of language models mean what they mean in transformers, or are refused by name."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_models import LINES, random_tensors, sentencepiece, write_json
from safetensors.torch import load_file, save_file

from nmt_cli.commands.import_model import import_model
from nmt_cli.commands.loading import load_model
from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting.huggingface.representation import StoredTensors
from nmt_cli.interop.huggingface import architecture
from nmt_cli.interop.huggingface.architecture import Architecture, Config
from nmt_cli.interop.huggingface.decoder_only import max_positions
from nmt_cli.interop.huggingface.generation import generation_settings
from nmt_cli.recipe.model import RotaryPositions

LLAMA: dict[str, Any] = {
    "model_type": "llama", "vocab_size": 60, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "tie_word_embeddings": True,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
HEAD = "lm_head.weight"
QUERY_KEY_VALUE = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
ATTENTION = (*QUERY_KEY_VALUE, "self_attn.o_proj")
MLP = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


def described(stored: Iterable[str] = (), **changes: Any) -> Architecture:
    tensors = StoredTensors(Path("model.safetensors"))
    for name in stored:
        tensors.add(name, torch.ones(1))
    return architecture(Config(Path("config.json"), {**LLAMA, **changes}), tensors)


ROTARY_BASES: list[tuple[dict[str, Any], float]] = [
    ({}, 10_000.0),
    ({"rope_theta": 500.0}, 500.0),
    ({"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}, 500.0),
    ({"rope_parameters": {"rope_type": "default"}, "rope_theta": 500.0}, 500.0),
    ({"rope_parameters": {"rope_theta": 500.0}, "rope_theta": 500.0, "rope_scaling": None}, 500.0),
    ({"rope_scaling": {"type": "default", "rope_theta": 500.0}}, 500.0),
    ({"rope_scaling": {}, "rope_parameters": {"rope_theta": 500}}, 500.0),
]


@pytest.mark.parametrize(("changes", "expected"), ROTARY_BASES)
def test_base_of_rotary_positions_is_found(changes: dict[str, Any], expected: float) -> None:
    positions = described(**changes).settings.positions
    assert isinstance(positions, RotaryPositions)
    assert positions.base == expected


@pytest.mark.slow
@pytest.mark.parametrize(("changes", "expected"), ROTARY_BASES)
def test_base_of_rotary_positions_is_that_of_transformers(changes: dict[str, Any], expected: float) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.AutoConfig.for_model(**{**LLAMA, **json.loads(json.dumps(changes))})
    assert config.rope_parameters["rope_theta"] == expected
    assert config.rope_parameters["rope_type"] == "default"


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        (
            "rope_scaling",
            {"rope_scaling": {"rope_type": "linear", "factor": 2.0}, "rope_parameters": {"rope_theta": 1e4}},
        ),
        ("rope_parameters", {"rope_parameters": {"rope_type": "llama3"}, "rope_scaling": {"rope_type": "default"}}),
        ("rope_parameters", {"rope_parameters": {"full_attention": {"rope_type": "default"}}}),
        ("rope_scaling", {"rope_scaling": {"rope_type": "default", "type": "linear"}}),
        ("rope_scaling", {"rope_scaling": ["default"]}),
        ("rope_theta 1000", {"rope_theta": 1000.0, "rope_parameters": {"rope_theta": 500.0}}),
        ("rope_scaling.rope_theta 9", {"rope_scaling": {"rope_theta": 9.0}, "rope_parameters": {"rope_theta": 500.0}}),
    ],
)
def test_scaled_or_contradictory_rotary_positions_are_refused(message: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=message):
        described(**changes)


MISTRAL, QWEN2 = {"model_type": "mistral"}, {"model_type": "qwen2"}
SLIDING = {**QWEN2, "use_sliding_window": True, "sliding_window": 32}


@pytest.mark.parametrize(
    "changes",
    [
        {"sliding_window": 32},
        {**MISTRAL, "sliding_window": None, "max_position_embeddings": 9999},
        {**MISTRAL, "max_position_embeddings": 4096},
        {**MISTRAL, "sliding_window": 64},
        {**QWEN2, "sliding_window": 32},
        {**SLIDING, "sliding_window": None},
        {**SLIDING, "max_window_layers": 2},
        SLIDING,  # max_window_layers is 28 by default
        {**SLIDING, "layer_types": ["full_attention"] * 2},
    ],
)
def test_sliding_window_without_effect_is_accepted(changes: dict[str, Any]) -> None:
    described(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {**MISTRAL, "sliding_window": 63},
        {**MISTRAL, "sliding_window": 63, "use_sliding_window": False},  # which Mistral does not know
        {**MISTRAL, "max_position_embeddings": 4097},
        {**MISTRAL, "max_position_embeddings": None},
        {**SLIDING, "max_window_layers": 1},
        {**SLIDING, "layer_types": ["full_attention", "sliding_attention"]},
    ],
)
def test_sliding_window_that_matters_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="sliding_window"):
        described(**changes)


@pytest.mark.parametrize(
    ("changes", "biased"),
    [
        ({}, ()),
        ({"attention_bias": True}, ATTENTION),
        ({"mlp_bias": True}, MLP),
        ({"attention_bias": True, "mlp_bias": True}, (*ATTENTION, *MLP)),
        ({**MISTRAL, "attention_bias": True}, ()),
        (QWEN2, QUERY_KEY_VALUE),
    ],
)
def test_biases_follow_from_the_configuration(changes: dict[str, Any], biased: tuple[str, ...]) -> None:
    parts = [part for parts in described(**changes).parameters.values() for part in parts]
    found = {part.name for part in parts if part.name.endswith(".bias") and part.constant is None}
    assert found == {f"model.layers.{layer}.{name}.bias" for layer in range(2) for name in biased}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (2048, 4)),
        (MISTRAL | {"sliding_window": None}, (131_072, 8)),
        (QWEN2, (32_768, 32)),
        (QWEN2 | {"num_key_value_heads": None}, (32_768, 4)),
    ],
)
def test_missing_sizes_are_the_defaults_of_the_class(changes: dict[str, Any], expected: tuple[int, int]) -> None:
    heads = expected[1]
    given = {"num_key_value_heads": changes["num_key_value_heads"]} if "num_key_value_heads" in changes else {}
    values = {**LLAMA, "num_attention_heads": heads, "hidden_size": 4 * heads} | changes
    for name in {"num_key_value_heads", "max_position_embeddings"} - given.keys():
        del values[name]
    config = Config(Path("config.json"), values)
    settings = architecture(config, StoredTensors(Path("model.safetensors"))).settings
    assert (max_positions(config), settings.key_value_heads) == expected


@pytest.mark.parametrize(
    "config",
    [
        {},
        MISTRAL,
        QWEN2,
        {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2},
        {"model_type": "t5", "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 1, "num_heads": 2},
        {
            "model_type": "bart", "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 8,
            "decoder_ffn_dim": 8, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
            "activation_function": "relu",
        },
    ],
)  # fmt: skip
def test_missing_output_layer_that_is_not_tied_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=f"{HEAD} is missing"):
        described(**config, tie_word_embeddings=False)
    found = described([HEAD], **config, tie_word_embeddings=False)
    assert [part.name for part in found.parameters["output.projection.weight"]] == [HEAD]


def test_output_layer_of_llama_is_not_tied_by_default() -> None:
    with pytest.raises(ModelError, match=f"{HEAD} is missing"):
        described(tie_word_embeddings=None)


def write_llama(folder: Path, **changes: Any) -> None:
    """Write a random model with biases in its attention."""
    folder.mkdir()
    (folder / "tokenizer.model").write_bytes(sentencepiece(60, bos_id=1, eos_id=2, unk_id=0))
    write_json(folder / "config.json", {**LLAMA, "attention_bias": True, **changes})
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (60, 16), "model.norm.weight": (16,)}
    for layer in range(2):
        rows = dict(zip((*ATTENTION, *MLP), (16, 8, 8, 16, 24, 24, 16), strict=True))
        for name, count in rows.items():
            columns = 24 if name == "mlp.down_proj" else 16
            shapes[f"model.layers.{layer}.{name}.weight"] = (count, columns)
            shapes |= {f"model.layers.{layer}.{name}.bias": (count,)} if name in ATTENTION else {}
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"model.layers.{layer}.{name}.weight"] = (16,)
    save_file(random_tensors(shapes), folder / "model.safetensors")


def test_missing_and_unexpected_biases_are_refused(tmp_path: Path) -> None:
    write_llama(tmp_path / "source")
    file, missing = tmp_path / "source" / "model.safetensors", "model.layers.1.self_attn.k_proj.bias"
    tensors = load_file(file)
    save_file({name: each for name, each in tensors.items() if name != missing}, file)
    with pytest.raises(ModelError, match=f"{missing} is missing"):
        import_model(tmp_path / "source", tmp_path / "model")
    save_file({**tensors, "model.layers.1.mlp.up_proj.bias": torch.ones(24)}, file)
    with pytest.raises(ModelError, match=r"no parameter for the tensors model\.layers\.1\.mlp\.up_proj\.bias"):
        import_model(tmp_path / "source", tmp_path / "model")


GENERATION: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"strategy": "sampling", "top_p": 0.95}),
    ({"eos_token_id": 2, "max_length": 64}, {"strategy": "sampling", "top_p": 0.95}),
    ({"do_sample": True}, {"strategy": "sampling", "top_k": 50}),
    (
        {"do_sample": True, "temperature": 0.6, "top_k": 0, "top_p": 0.9, "min_p": 0.1, "epsilon_cutoff": 3e-4},
        {"strategy": "sampling", "temperature": 0.6, "top_p": 0.9, "min_p": 0.1, "epsilon": 3e-4},
    ),
    (
        {"do_sample": True, "max_new_tokens": 30, "min_new_tokens": 3, "no_repeat_ngram_size": 4},
        {"strategy": "sampling", "top_k": 50, "max_length": 30, "min_length": 3, "no_repeat_ngram_size": 4},
    ),
    ({"do_sample": False}, {"strategy": "beam", "beam_size": 1, "length_penalty": 1.0}),
    (
        {"num_beams": 4, "length_penalty": 0.5, "early_stopping": True, "max_new_tokens": 9},
        {"strategy": "beam", "beam_size": 4, "length_penalty": 0.5, "early_stopping": True, "max_length": 9},
    ),
    ({"temperature": 0.6}, {"strategy": "beam", "beam_size": 1, "length_penalty": 1.0}),
]


@pytest.mark.parametrize(("given", "expected"), GENERATION)
def test_generation_settings_are_those_of_transformers(
    given: dict[str, Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    write_json(tmp_path / "generation_config.json", given)
    assert generation_settings(tmp_path, LLAMA, 64) == (expected, [])


@pytest.mark.parametrize(
    "given",
    [
        {"repetition_penalty": 1.1},
        {"max_length": 30},
        {"min_length": 3},
        {"eos_token_id": [2, 5]},
        {"do_sample": True, "num_beams": 4},
        {"do_sample": True, "typical_p": 0.9},
        {"suppress_tokens": [0, 7]},
    ],
)
def test_generation_settings_that_are_not_imported_are_named(given: dict[str, Any], tmp_path: Path) -> None:
    _, [warning] = generation_settings(tmp_path, {**LLAMA, **given}, 64, not_text={0})
    assert [*given][-1] in warning


def test_generation_settings_of_a_language_model_are_imported(tmp_path: Path) -> None:
    write_llama(tmp_path / "source")
    write_json(tmp_path / "source" / "generation_config.json", {"do_sample": True, "top_k": 7, "max_new_tokens": 20})
    import_model(tmp_path / "source", tmp_path / "model")
    found = load_model(tmp_path / "model").decoding
    assert (found.strategy, found.top_k, found.top_p, found.max_length) == ("sampling", 7, None, 20)
    assert load_model(tmp_path / "model").tokenizer.encode_target(LINES[:1])
