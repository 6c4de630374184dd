"""GPT-2 and models like Llama."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from nmt_cli.errors import ModelError
from nmt_cli.interop.foreign import Part, TensorSource
from nmt_cli.interop.huggingface.architecture import Architecture, Config
from nmt_cli.recipe.model import DecoderOnlySettings

_GPT2_ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu", "relu": "relu"}
_GATED_ACTIVATIONS = {"silu": "swiglu", "swish": "swiglu", "gelu": "geglu", "gelu_pytorch_tanh": "geglu_tanh"}
_GPT2_LAYER = {
    "self_attention_residual.norm": "ln_1",
    "self_attention.query_key_value": "attn.c_attn",
    "self_attention.output": "attn.c_proj",
    "feed_forward_residual.norm": "ln_2",
    "feed_forward.inner": "mlp.c_fc",
    "feed_forward.outer": "mlp.c_proj",
}
_LLAMA_LAYER = {
    "self_attention.query_key_value": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention.output": ("self_attn.o_proj",),
    "feed_forward.inner": ("mlp.gate_proj", "mlp.up_proj"),
    "feed_forward.outer": ("mlp.down_proj",),
}
_LLAMA_NORMS = {
    "self_attention_residual.norm": "input_layernorm",
    "feed_forward_residual.norm": "post_attention_layernorm",
}


def gpt2(config: Config, tensors: TensorSource) -> Architecture:
    """GPT-2 (Radford et al. 2019)."""
    _refuse_unless(config, {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False})
    _refuse_unless(config, {"add_cross_attention": False})
    width, num_layers = config.get("n_embd", int), config.get("n_layer", int)
    prefix = "transformer." if "transformer.wte.weight" in tensors.shapes else ""
    embeddings, head = f"{prefix}wte.weight", "lm_head.weight"
    is_tied = config.get("tie_word_embeddings", bool, True) or head not in tensors.shapes
    settings = DecoderOnlySettings.model_validate(
        {
            "architecture": "decoder_only",
            "width": width,
            "feed_forward": config.get("n_inner", int, 4 * width),
            "layers": num_layers,
            "heads": config.get("n_head", int),
            "activation": config.choice("activation_function", _GPT2_ACTIVATIONS, "gelu_new"),
            "norm": {"position": "pre", "epsilon": config.get("layer_norm_epsilon", float, 1e-5)},
            "positions": {"type": "learned", "length": config.get("n_positions", int, 1024)},
            "tied_embeddings": "all" if is_tied else "input",
            "scale_embeddings": False,
            "output_bias": False,
            "dropout": config.get("resid_pdrop", float, 0.1),
            "attention_dropout": config.get("attn_pdrop", float, 0.1),
            "activation_dropout": 0.0,
        }
    )
    parameters = {
        "embeddings.target.weight": [Part(embeddings)],
        "positions.vectors.weight": [Part(f"{prefix}wpe.weight")],
        "output.projection.weight": [Part(head)],
    }
    redundant: dict[str, str | Tensor | None] = {head: embeddings} if is_tied else {}
    names = {f"decoder.{i}.{ours}": f"h.{i}.{name}" for i in range(num_layers) for ours, name in _GPT2_LAYER.items()}
    for ours, name in {**names, "decoder_norm": "ln_f"}.items():
        is_matrix = not ours.endswith("norm")  # whose rows are inputs
        parameters[f"{ours}.weight"] = [Part(f"{prefix}{name}.weight", is_transposed=is_matrix)]
        parameters[f"{ours}.bias"] = [Part(f"{prefix}{name}.bias")]
    for layer in range(num_layers):  # causal masks that older versions stored
        redundant |= dict.fromkeys(f"{prefix}h.{layer}.attn.{name}" for name in ("bias", "masked_bias"))
    return Architecture(settings, parameters, redundant)


def llama(config: Config, tensors: TensorSource) -> Architecture:
    """Llama (Touvron et al. 2023), Mistral and Qwen2."""
    width, num_layers, heads = (
        config.get(key, int) for key in ("hidden_size", "num_hidden_layers", "num_attention_heads")
    )
    window = config.values.get("sliding_window")
    if window is not None and config.values.get("use_sliding_window", True):
        raise ModelError(f"{config.path}: sliding_window: {window} is not supported")
    head, embeddings = "lm_head.weight", "model.embed_tokens.weight"
    is_tied = config.get("tie_word_embeddings", bool, False) or head not in tensors.shapes
    has_bias = any(name.endswith("_proj.bias") for name in tensors.shapes)
    settings = DecoderOnlySettings.model_validate(
        {
            "architecture": "decoder_only",
            "width": width,
            "feed_forward": config.get("intermediate_size", int),
            "layers": num_layers,
            "heads": heads,
            "key_value_heads": config.get("num_key_value_heads", int, heads),
            "head_width": config.get("head_dim", int, width // max(heads, 1)),
            "activation": config.choice("hidden_act", _GATED_ACTIVATIONS, "silu"),
            "bias": has_bias,
            "norm": {"position": "pre", "type": "rms", "epsilon": config.get("rms_norm_eps", float, 1e-6)},
            "positions": {"type": "rotary", "base": _rotary_base(config)},
            "tied_embeddings": "all" if is_tied else "input",
            "scale_embeddings": False,
            "output_bias": False,
            "dropout": 0.0,
            "attention_dropout": config.get("attention_dropout", float, 0.0),
            "activation_dropout": 0.0,
        }
    )
    parameters = {
        "embeddings.target.weight": [Part(embeddings)],
        "output.projection.weight": [Part(head)],
        "decoder_norm.weight": [Part("model.norm.weight")],
    }
    for layer in range(num_layers):
        ours, theirs = f"decoder.{layer}", f"model.layers.{layer}"
        for own, name in _LLAMA_NORMS.items():
            parameters[f"{ours}.{own}.weight"] = [Part(f"{theirs}.{name}.weight")]
        for own, names in _LLAMA_LAYER.items():
            parameters[f"{ours}.{own}.weight"] = [Part(f"{theirs}.{name}.weight") for name in names]
            parameters[f"{ours}.{own}.bias"] = [_bias(f"{theirs}.{name}", tensors) for name in names if has_bias]
    redundant: dict[str, str | Tensor | None] = {head: embeddings} if is_tied else {}
    redundant |= {f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": None for layer in range(num_layers)}
    return Architecture(settings, parameters, redundant)


FAMILIES: Mapping[str, Callable[[Config, TensorSource], Architecture]] = {
    "gpt2": gpt2,
    "llama": llama,
    "mistral": llama,
    "qwen2": llama,
}
"""Language models by `model_type`."""


def _bias(layer: str, tensors: TensorSource) -> Part:
    """Return the bias of a linear layer, or zeros if this layer alone has none."""
    if f"{layer}.bias" in tensors.shapes:
        return Part(f"{layer}.bias")
    return Part(f"{layer}.bias", constant=torch.zeros((tensors.shapes.get(f"{layer}.weight") or (1,))[0]))


def _rotary_base(config: Config) -> float:
    """Return the base of the angles; ModelError if they are scaled, too."""
    given: Any = config.values.get("rope_parameters") or config.values.get("rope_scaling") or {}
    if not isinstance(given, dict) or given.get("rope_type", given.get("type", "default")) != "default":
        raise ModelError(f"{config.path}: rope_scaling: {given} is not supported")
    base = given.get("rope_theta", config.values.get("rope_theta", 10_000.0))
    return Config(config.path, {"rope_theta": base}).get("rope_theta", float)


def _refuse_unless(config: Config, expected: Mapping[str, bool]) -> None:
    for key, value in expected.items():
        if config.get(key, bool, value) is not value:
            raise ModelError(f"{config.path}: {key}: must be {str(value).lower()}; nothing else is supported")
