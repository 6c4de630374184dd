"""Names, shapes and values in which Marian's Transformer and that of nmt correspond; for import and export."""

import torch

from nmt_cli.interop.foreign import Part
from nmt_cli.recipe.model import TransformerSettings

OUTPUT = "decoder_ff_logit_out_W"
"""The matrix of an output layer that is not tied; older versions store it as [V,D] and add a `t` to the name."""
LAYER_NORM_EPSILON = 1e-9
ACTIVATIONS = {"relu": "relu", "swish": "silu"}
"""Marian's gelu is an approximation that nmt does not have."""
NORM_POSITIONS = {("", "dan", ""): "post", ("n", "da", "n"): "pre"}
"""By transformer-preprocess, -postprocess and -postprocess-top."""
PAD_LOGIT = -100.0
"""Logit of pad, which Marian lacks: its probability is below 1e-30. A lower one would distort label smoothing."""

_ATTENTIONS = {"self_attention": "self", "cross_attention": "context"}


def parameter_parts(
    settings: TransformerSettings,
    has_transposed_output: bool = False,
    omitted_bias: int | None = None,
    has_pad: bool = True,
) -> dict[str, list[Part]]:
    """Return the tensors of Marian that each parameter of nmt consists of, one below the other.

    Args:
        has_transposed_output: Whether the matrix of an output layer that is not tied is stored as [V,D].
        omitted_bias: Size of the bias of the output layer, if Marian has none.
        has_pad: Whether to append a row for pad, which Marian lacks: zeros, as pad is also decoder_start.
    """
    pad_row = [Part("<pad>", constant=torch.zeros(1, settings.width))] if has_pad else []
    is_shared = settings.tied_embeddings in ("all", "input")
    projection = Part(f"{OUTPUT}t") if has_transposed_output else Part(OUTPUT, is_transposed=True)
    bias = [
        Part("decoder_ff_logit_out_b", is_transposed=True)
        if omitted_bias is None
        else Part("no bias", constant=torch.zeros(omitted_bias, 1)),
        *([Part("<pad>", constant=torch.full((1, 1), PAD_LOGIT))] if has_pad else []),
    ]
    found = {
        "embeddings.source.weight": [Part("encoder_Wemb"), *pad_row],
        "embeddings.target.weight": [Part("Wemb" if is_shared else "decoder_Wemb"), *pad_row],
        "output.projection.weight": [projection, *pad_row],
        "output.projection.bias": bias,
        "output.bias": bias,
    }
    suffix = "_pre" if settings.norm.position == "pre" else ""
    for side, count in (("encoder", settings.encoder_layers), ("decoder", settings.decoder_layers)):
        for layer in range(count):
            is_recurrent = side == "decoder" and settings.decoder_self_attention == "ssru"
            found |= _layer(f"{side}.{layer}", f"{side}_l{layer + 1}", suffix, is_recurrent)
        found |= _norm(f"{side}_norm", f"{side}_top")
    return found


def _layer(ours: str, theirs: str, suffix: str, is_recurrent: bool) -> dict[str, list[Part]]:
    found: dict[str, list[Part]] = {}

    def add(name: str, *parts: str) -> None:
        weights, biases = zip(*(part.split() for part in parts), strict=True)
        found[f"{ours}.{name}.weight"] = [Part(f"{theirs}_{each}", is_transposed=True) for each in weights]
        found[f"{ours}.{name}.bias"] = [Part(f"{theirs}_{each}", is_transposed=True) for each in biases]

    for attention, name in _ATTENTIONS.items():
        if is_recurrent and attention == "self_attention":
            found[f"{ours}.{attention}.input.weight"] = [Part(f"{theirs}_rnn_W", is_transposed=True)]
            add(f"{attention}.forget_gate", "rnn_Wf rnn_bf")
            norm = "rnn" if suffix else "rnn_ffn"
            found |= _norm(f"{ours}.{attention}_residual.norm", f"{theirs}_{norm}", suffix)
            continue
        query, key, value, output = (f"{name}_W{letter} {name}_b{letter}" for letter in "qkvo")
        if attention == "self_attention":
            add(f"{attention}.query_key_value", query, key, value)
        else:
            add(f"{attention}.query", query)
            add(f"{attention}.key_value", key, value)
        add(f"{attention}.output", output)
        found |= _norm(f"{ours}.{attention}_residual.norm", f"{theirs}_{name}_Wo", suffix)
    add("feed_forward.inner", "ffn_W1 ffn_b1")
    add("feed_forward.outer", "ffn_W2 ffn_b2")
    return found | _norm(f"{ours}.feed_forward_residual.norm", f"{theirs}_ffn_ffn", suffix)


def _norm(ours: str, theirs: str, suffix: str = "") -> dict[str, list[Part]]:
    return {
        f"{ours}.{name}": [Part(f"{theirs}_ln_{kind}{suffix}")]
        for name, kind in (("weight", "scale"), ("bias", "bias"))
    }
