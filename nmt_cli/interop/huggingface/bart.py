"""BART, mBART, M2M-100, NLLB, Pegasus and Marian, which differ in a few settings."""

from itertools import product
from typing import Any

import torch
from torch import Tensor

from nmt_cli.interop.foreign import TOLERANCE, Part, TensorSource
from nmt_cli.interop.huggingface.architecture import Architecture, Config, is_tied, layer_parts
from nmt_cli.models.positions import sinusoidal_encoding
from nmt_cli.recipe.model import SinusoidalPositions, TransformerSettings

_ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
}

_LAYER = {
    "self_attention.query_key_value": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention.output": ("self_attn.out_proj",),
    "self_attention_residual.norm": ("self_attn_layer_norm",),
    "cross_attention.query": ("encoder_attn.q_proj",),
    "cross_attention.key_value": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "cross_attention.output": ("encoder_attn.out_proj",),
    "cross_attention_residual.norm": ("encoder_attn_layer_norm",),
    "feed_forward.inner": ("fc1",),
    "feed_forward.outer": ("fc2",),
    "feed_forward_residual.norm": ("final_layer_norm",),
}


def _architecture(config: Config, tensors: TensorSource, **own: Any) -> Architecture:
    """Describe a model; `own` are the settings in which it differs from the others."""
    settings, shapes = _settings(config, tensors, **own), tensors.shapes
    parameters, redundant = dict[str, list[Part]](), dict[str, str | Tensor | None]()
    shared, tying = "model.shared.weight", settings.tied_embeddings
    source, target, head = "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"
    if tying in ("none", "decoder"):
        parameters["embeddings.source.weight"] = [Part(source)]
        parameters["embeddings.target.weight"] = [Part(target)]
        redundant[shared] = source
    else:
        owner = next((name for name in (shared, source, target, head) if name in shapes), shared)
        parameters["embeddings.target.weight"] = [Part(owner)]
        redundant |= dict.fromkeys((shared, source, target), owner)
    if tying in ("none", "input"):
        parameters["output.projection.weight"] = [Part(head)]
    else:
        redundant[head] = parameters["embeddings.target.weight"][0].name
    if settings.output_bias:
        parameters["output.bias"] = parameters["output.projection.bias"] = [Part("final_logits_bias")]
    else:
        redundant["final_logits_bias"] = torch.zeros(1, *shapes.get("final_logits_bias", (1, 1))[1:])
    for side, num_layers in (("encoder", settings.encoder_layers), ("decoder", settings.decoder_layers)):
        for ours, theirs in layer_parts(side, f"model.{side}.layers", num_layers, _LAYER):
            for kind in ("weight", "bias"):
                parameters[f"{ours}.{kind}"] = [Part(f"{name}.{kind}") for name in theirs]
        for kind in ("weight", "bias"):
            parameters[f"{side}_norm.{kind}"] = [Part(f"model.{side}.layer_norm.{kind}")]
            parameters[f"{side}_embedding_norm.{kind}"] = [Part(f"model.{side}.layernorm_embedding.{kind}")]
        table = f"model.{side}.embed_positions.weight"
        if isinstance(settings.positions, SinusoidalPositions):
            if table in shapes:
                # The table of M2M-100 begins before the first position.
                first = -settings.positions.offset if config.values["model_type"] == "m2m_100" else 0
                rows = torch.arange(first, first + shapes[table][0])
                redundant[table] = sinusoidal_encoding(rows, settings.width, settings.positions)
        else:
            parameters[f"{side}_positions.vectors.weight"] = [Part(table, rows=(2, None))]
    return Architecture(settings, parameters, {name: value for name, value in redundant.items() if name != value})


def _settings(config: Config, tensors: TensorSource, **own: Any) -> TransformerSettings:
    is_shared = config.get("share_encoder_decoder_embeddings", bool, True)
    has_tied_head = is_tied(config, tensors, "lm_head.weight", default=True)
    tying = ("all" if has_tied_head else "input") if is_shared else ("decoder" if has_tied_head else "none")
    bias = "final_logits_bias"
    return TransformerSettings.model_validate(
        {
            "architecture": "transformer",
            "width": config.get("d_model", int),
            "feed_forward": config.of_both_sides("ffn_dim", int),
            "encoder_layers": config.get("encoder_layers", int),
            "decoder_layers": config.get("decoder_layers", int),
            "heads": config.of_both_sides("attention_heads", int),
            "activation": config.choice("activation_function", _ACTIVATIONS),
            "tied_embeddings": tying,
            "scale_embeddings": config.get("scale_embedding", bool, False),
            "output_bias": bias in tensors.shapes and bool(tensors.read(bias).any()),
            "dropout": config.get("dropout", float, 0.1),
            "attention_dropout": config.get("attention_dropout", float, 0.0),
            "activation_dropout": config.get("activation_dropout", float, 0.0),
            **own,
        }
    )


def marian(config: Config, tensors: TensorSource) -> Architecture:
    """MarianMT. If no table of positions is stored, transformers uses the sinusoids of Vaswani et al., not Marian's."""
    return _architecture(config, tensors, norm={"position": "post"}, positions=_stored_positions(config, tensors))


def pegasus(config: Config, tensors: TensorSource) -> Architecture:
    """Pegasus (Zhang et al. 2020)."""
    return _architecture(config, tensors, norm={"position": "pre"}, positions=_stored_positions(config, tensors))


def m2m_100(config: Config, tensors: TensorSource) -> Architecture:
    """M2M-100 (Fan et al. 2020) and NLLB (NLLB Team 2022)."""
    positions = {"type": "sinusoidal", "spacing": "t2t", "offset": 2}
    return _architecture(config, tensors, norm={"position": "pre"}, positions=positions)


def bart(config: Config, tensors: TensorSource) -> Architecture:
    """BART (Lewis et al. 2020)."""
    norm = {"position": "post", "embeddings": True}
    return _architecture(config, tensors, norm=norm, positions=_learned_positions(config))


def mbart(config: Config, tensors: TensorSource) -> Architecture:
    """Multilingual BART (Liu et al. 2020)."""
    norm = {"position": "pre", "embeddings": True}
    return _architecture(config, tensors, norm=norm, positions=_learned_positions(config))


def _learned_positions(config: Config) -> dict[str, Any]:
    return {"type": "learned", "length": config.get("max_position_embeddings", int)}


def _stored_positions(config: Config, tensors: TensorSource) -> SinusoidalPositions:
    """Return the sinusoidal positions whose table is stored, or those of the paper."""
    table = "model.encoder.embed_positions.weight"
    if table in tensors.shapes:
        stored = tensors.read(table)
        for spacing, offset in product(("paper", "t2t"), range(3)):
            positions = SinusoidalPositions.model_validate({"spacing": spacing, "offset": offset})
            encoding = sinusoidal_encoding(torch.arange(len(stored)), config.get("d_model", int), positions)
            if encoding.shape == stored.shape and torch.allclose(encoding, stored, atol=TOLERANCE, rtol=0):
                return positions
    return SinusoidalPositions()
