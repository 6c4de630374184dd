"""GPT-2 and models like Llama."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt_cli.errors import ModelError
from nmt_cli.interop.foreign import Part, TensorSource
from nmt_cli.interop.huggingface.architecture import Architecture, Config, is_tied
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
_QUERY_KEY_VALUE = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}
_MLP = {"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}


@dataclass(frozen=True)
class _Family:
    """What the classes of transformers that are like Llama have by default."""

    max_positions: int
    key_value_heads: int | None
    """None: one for each head."""


_LLAMA_FAMILIES = {
    "llama": _Family(max_positions=2048, key_value_heads=None),
    "mistral": _Family(max_positions=131_072, key_value_heads=8),
    "qwen2": _Family(max_positions=32_768, key_value_heads=32),
}
"""By `model_type`."""
_SLIDING_WINDOW = 4096
"""Default of Mistral and Qwen2."""


def gpt2(config: Config, tensors: TensorSource) -> Architecture:
    """GPT-2 (Radford et al. 2019)."""
    _refuse_unless(config, {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False})
    _refuse_unless(config, {"add_cross_attention": False})
    width, num_layers = config.get("n_embd", int), config.get("n_layer", int)
    prefix = "transformer." if "transformer.wte.weight" in tensors.shapes else ""
    embeddings, head = f"{prefix}wte.weight", "lm_head.weight"
    has_tied_head = is_tied(config, tensors, head, default=True)
    settings = DecoderOnlySettings.model_validate(
        {
            "architecture": "decoder_only",
            "width": width,
            "feed_forward": config.get("n_inner", int, 4 * width),
            "layers": num_layers,
            "heads": config.get("n_head", int),
            "activation": config.choice("activation_function", _GPT2_ACTIVATIONS, "gelu_new"),
            "norm": {"position": "pre", "epsilon": config.get("layer_norm_epsilon", float, 1e-5)},
            "positions": {"type": "learned", "length": max_positions(config)},
            "tied_embeddings": "all" if has_tied_head else "input",
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
    redundant: dict[str, str | Tensor | None] = {head: embeddings} if has_tied_head else {}
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
    _refuse_sliding_window(config, num_layers)
    head, embeddings = "lm_head.weight", "model.embed_tokens.weight"
    has_tied_head, biased = is_tied(config, tensors, head, default=False), _biased_layers(config)
    defaults = _LLAMA_FAMILIES[config.get("model_type", str)]
    key_value_heads = config.given("num_key_value_heads", int, defaults.key_value_heads)
    settings = DecoderOnlySettings.model_validate(
        {
            "architecture": "decoder_only",
            "width": width,
            "feed_forward": config.get("intermediate_size", int),
            "layers": num_layers,
            "heads": heads,
            "key_value_heads": heads if key_value_heads is None else key_value_heads,
            "head_width": config.get("head_dim", int, width // max(heads, 1)),
            "activation": config.choice("hidden_act", _GATED_ACTIVATIONS, "silu"),
            "bias": bool(biased),
            "norm": {"position": "pre", "type": "rms", "epsilon": config.get("rms_norm_eps", float, 1e-6)},
            "positions": {"type": "rotary", "base": _rotary_base(config)},
            "tied_embeddings": "all" if has_tied_head else "input",
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
            biases = [_bias(f"{theirs}.{name}", tensors, is_stored=name in biased) for name in names]
            parameters[f"{ours}.{own}.bias"] = biases if biased else []
    redundant: dict[str, str | Tensor | None] = {head: embeddings} if has_tied_head else {}
    redundant |= {f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": None for layer in range(num_layers)}
    return Architecture(settings, parameters, redundant)


FAMILIES: Mapping[str, Callable[[Config, TensorSource], Architecture]] = {
    "gpt2": gpt2,
    **dict.fromkeys(_LLAMA_FAMILIES, llama),
}
"""Language models by `model_type`."""


def max_positions(config: Config) -> int:
    """Return the number of tokens that a model reads at once."""
    family = config.get("model_type", str)
    if family not in _LLAMA_FAMILIES:
        return config.get("n_positions", int, 1024)
    return config.get("max_position_embeddings", int, _LLAMA_FAMILIES[family].max_positions)


def _biased_layers(config: Config) -> Collection[str]:
    """Return the linear layers with a bias, which follow from the class and its configuration."""
    family = config.get("model_type", str)
    if family == "qwen2":
        return _QUERY_KEY_VALUE
    if family == "mistral":
        return ()
    attention = {*_QUERY_KEY_VALUE, "self_attn.o_proj"} if config.get("attention_bias", bool, False) else set[str]()
    return attention | (_MLP if config.get("mlp_bias", bool, False) else set())


def _bias(layer: str, tensors: TensorSource, *, is_stored: bool) -> Part:
    """Return the bias of a linear layer, or zeros for a layer without one."""
    if is_stored:
        return Part(f"{layer}.bias")
    return Part(f"{layer}.bias", constant=torch.zeros((tensors.shapes.get(f"{layer}.weight") or (1,))[0]))


def _refuse_sliding_window(config: Config, num_layers: int) -> None:
    """Raise ModelError if attention in any layer is limited to fewer positions than the model reads at once.

    Llama has no such limit, Mistral always one unless it is null, and Qwen2 one in the layers after the first
    `max_window_layers`, or in those that `layer_types` names, if `use_sliding_window` is true.
    """
    family, positions = config.get("model_type", str), max_positions(config)
    if family == "llama" or (family == "qwen2" and not config.get("use_sliding_window", bool, False)):
        return
    window = config.given("sliding_window", int, _SLIDING_WINDOW)
    types = config.given("layer_types", list, None)
    if family == "qwen2" and types is None and num_layers <= config.get("max_window_layers", int, 28):
        return
    if family == "qwen2" and types is not None and "sliding_attention" not in types:
        return
    if window is not None and window < positions:
        raise ModelError(
            f"{config.path}: sliding_window: {window} is not supported, as max_position_embeddings is {positions};"
            f" with max_position_embeddings: {window}, the model can be imported for texts of that length"
        )


def _rotary_base(config: Config) -> float:
    """Return the base of the angles; ModelError if they are scaled, or if the configuration contradicts itself.

    The base is that of `rope_scaling`, `rope_parameters` or `rope_theta`, which must agree.
    """
    found = dict[str, float]()
    for key in ("rope_scaling", "rope_parameters"):
        given = config.values.get(key) or {}
        is_scaled = not isinstance(given, dict) or any(
            isinstance(value, dict) or (name in ("rope_type", "type") and value != "default")
            for name, value in given.items()
        )
        if is_scaled:
            raise ModelError(f"{config.path}: {key}: {given} is not supported")
        if given.get("rope_theta") is not None:
            found[f"{key}.rope_theta"] = Config(config.path, given).get("rope_theta", float)
    if config.values.get("rope_theta") is not None:
        found["rope_theta"] = config.get("rope_theta", float)
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{name} {base}" for name, base in found.items())
        raise ModelError(f"{config.path}: the bases of the rotary positions contradict each other: {listed}")
    return next(iter(found.values()), 10_000.0)


def _refuse_unless(config: Config, expected: Mapping[str, bool]) -> None:
    for key, value in expected.items():
        if config.get(key, bool, value) is not value:
            raise ModelError(f"{config.path}: {key}: must be {str(value).lower()}; nothing else is supported")
