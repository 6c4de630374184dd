"""T5, mT5 and umT5."""

import torch
from torch import Tensor

from nmt_cli.interop.foreign import Part, TensorSource
from nmt_cli.interop.huggingface.architecture import Architecture, Config, is_tied, layer_parts
from nmt_cli.recipe.model import TransformerSettings

_ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gated-gelu": "geglu_tanh", "gated-silu": "swiglu"}
"""The gated gelu of T5 is the approximation by tanh."""


_ATTENTION = {
    "self_attention.query_key_value": ("0.SelfAttention.q", "0.SelfAttention.k", "0.SelfAttention.v"),
    "self_attention.output": ("0.SelfAttention.o",),
    "self_attention_residual.norm": ("0.layer_norm",),
    "cross_attention.query": ("1.EncDecAttention.q",),
    "cross_attention.key_value": ("1.EncDecAttention.k", "1.EncDecAttention.v"),
    "cross_attention.output": ("1.EncDecAttention.o",),
    "cross_attention_residual.norm": ("1.layer_norm",),
}


def t5(config: Config, tensors: TensorSource, each_layer: bool = False) -> Architecture:
    """T5 (Raffel et al. 2020); with `each_layer`, each layer has position biases of its own."""
    num_layers, width = config.get("num_layers", int), config.get("d_model", int)
    head, shapes = "lm_head.weight", tensors.shapes
    has_tied_head = is_tied(config, tensors, head, default=True)
    if head in shapes:  # newer versions of transformers write `tie_word_embeddings: true` for any model
        has_tied_head = torch.equal(tensors.read(head), tensors.read("shared.weight"))
    settings = TransformerSettings.model_validate(
        {
            "architecture": "transformer",
            "width": width,
            "feed_forward": config.get("d_ff", int),
            "encoder_layers": num_layers,
            "decoder_layers": config.get("num_decoder_layers", int, num_layers),
            "heads": config.get("num_heads", int),
            "head_width": config.get("d_kv", int),
            "activation": config.choice("feed_forward_proj", _ACTIVATIONS, "relu"),
            "bias": False,
            "norm": {"position": "pre", "type": "rms", "epsilon": config.get("layer_norm_epsilon", float, 1e-6)},
            "positions": {
                "type": "relative",
                "buckets": config.get("relative_attention_num_buckets", int, 32),
                "max_distance": config.get("relative_attention_max_distance", int, 128),
                "each_layer": each_layer,
            },
            "tied_embeddings": "all" if has_tied_head else "input",
            "scale_embeddings": False,
            "scale_attention": False,
            "output_bias": False,
            **dict.fromkeys(
                ("dropout", "attention_dropout", "activation_dropout"), config.get("dropout_rate", float, 0.1)
            ),
        }
    )
    parameters = {"embeddings.target.weight": [Part("shared.weight")], "output.projection.weight": [Part(head)]}
    for side, count, feed_forward in (("encoder", num_layers, 1), ("decoder", settings.decoder_layers, 2)):
        dense, is_gated = f"{feed_forward}.DenseReluDense", settings.activation in ("geglu_tanh", "swiglu")
        names = _ATTENTION | {
            "feed_forward.inner": (f"{dense}.wi_0", f"{dense}.wi_1") if is_gated else (f"{dense}.wi",),
            "feed_forward.outer": (f"{dense}.wo",),
            "feed_forward_residual.norm": (f"{feed_forward}.layer_norm",),
        }
        for ours, theirs in layer_parts(side, f"{side}.block", count, names, "layer."):
            parameters[f"{ours}.weight"] = [Part(f"{name}.weight") for name in theirs]
        parameters[f"{side}_positions.biases"] = [
            Part(f"{side}.block.{layer}.layer.0.SelfAttention.relative_attention_bias.weight")
            for layer in range(count if each_layer else 1)
        ]
        scale = width**-0.5 if side == "decoder" and _scales_outputs(config) else 1.0
        parameters[f"{side}_norm.weight"] = [Part(f"{side}.final_layer_norm.weight", scale)]
    redundant: dict[str, str | Tensor | None] = {
        f"{side}.embed_tokens.weight": "shared.weight" for side in ("encoder", "decoder")
    }
    if has_tied_head:
        redundant[head] = "shared.weight"
    redundant["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"] = None
    return Architecture(settings, parameters, redundant)


def _scales_outputs(config: Config) -> bool:
    """Return whether the decoder's outputs are scaled. Before `scale_decoder_outputs`, tying decided, except in mT5."""
    default: bool = config.values.get("model_type") != "mt5" and config.get("tie_word_embeddings", bool, True)
    return config.get("scale_decoder_outputs", bool, default)


def umt5(config: Config, tensors: TensorSource) -> Architecture:
    """umT5 (Chung et al. 2023)."""
    return t5(config, tensors, each_layer=True)
