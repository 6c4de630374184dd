"""Export of a Transformer to CTranslate2, an inference engine in C++ (Klein et al. 2020)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nmt_cli.data.tokenizing.tags import SEPARATOR
from nmt_cli.errors import ResourceError
from nmt_cli.interop.exporting.model import ExportedModel, UnusedParameters, as_array
from nmt_cli.interop.exporting.sentencepiece_files import ExportedText, token_names, write_tokenizer
from nmt_cli.models.positions import sinusoidal_encoding
from nmt_cli.models.transformer.layers import GATES, norm_epsilon
from nmt_cli.recipe.model import (
    LayerSettings,
    LearnedPositions,
    RelativePositions,
    SinusoidalPositions,
    TransformerSettings,
)

MAX_POSITIONS = 2048
"""Size of the table of sinusoidal positions: CTranslate2 refuses longer sentences."""

_ACTIVATIONS = {"relu": "RELU", "gelu": "GELU", "gelu_tanh": "GELUTanh", "silu": "SWISH"}


def write(exported: ExportedModel, folder: Path) -> Mapping[str, Any]:
    """Write a model in fp32, its SentencePiece models and its normalisation; see ExportFormat.

    Raises:
        ModelError: CTranslate2 does not support the model, its tokenizer or one of its parameters.
        ResourceError: CTranslate2 is not installed.
    """
    specs = import_specs()
    settings, tokenizer = exported.transformer("CTranslate2"), exported.tokenizer
    exported.require_ordinary_ends("CTranslate2")
    parameters = UnusedParameters(exported.parameters())
    spec = specs.TransformerSpec(_encoder(specs, settings, parameters), _decoder(specs, settings, parameters))
    parameters.require_none("CTranslate2")
    write_tokenizer(tokenizer, folder, "CTranslate2")
    source, target = token_names(tokenizer)
    special = tokenizer.special_tokens
    spec.register_source_vocabulary(source)
    spec.register_target_vocabulary(target)
    spec.config.unk_token, spec.config.bos_token = target[special.unk], target[special.bos]
    spec.config.eos_token, spec.config.decoder_start_token = target[special.eos], target[special.decoder_start]
    spec.config.add_source_eos = exported.source_eos
    spec.config.layer_norm_epsilon = norm_epsilon(settings)
    spec.validate()
    spec.optimize()  # tied weights are stored once
    spec.save(str(folder))
    sides = (tokenizer.source, source), (tokenizer.target, target)
    return {
        "normalization": tokenizer.normalization,
        "before": [source[token] for token in exported.source_prefix],
        "target_prefix": [target[token] for token in exported.target_prefix],
        "tags": {name: source[token] for name, token in tokenizer.source.tags.items() if name != SEPARATOR},
        "suppressed": [[target[token]] for token in exported.suppressed if token != special.unk],
        "separators": [names[side.tag_id(SEPARATOR)] for side, names in sides if SEPARATOR in tokenizer.source.tags],
    }


class CTranslate2Program:
    """An export, loaded by CTranslate2 and SentencePiece."""

    def __init__(self, exported: ExportedModel, folder: Path) -> None:
        import ctranslate2

        self._translator = ctranslate2.Translator(str(folder), compute_type="float32")
        self._source, self._target = token_names(exported.tokenizer)
        self._before = [self._source[token] for token in exported.source_prefix]
        self._target_prefix = [self._target[token] for token in exported.target_prefix]
        self._text = ExportedText(exported.tokenizer, folder, self._source, self._target)

    def encode_source(self, lines: list[str]) -> list[list[int]]:
        return self._text.encode_source(lines)

    def decode_target(self, rows: list[list[int]]) -> list[str]:
        return self._text.decode_target(rows)

    def score(self, sources: list[list[int]], targets: list[list[int]]) -> list[list[float]]:
        found = self._translator.score_batch(
            [[*self._before, *(self._source[token] for token in row)] for row in sources],
            [[*self._target_prefix, *(self._target[token] for token in row)] for row in targets],
        )
        return [each.log_probs[len(self._target_prefix) :] for each in found]


def import_specs() -> Any:
    """Import the specifications of CTranslate2; ResourceError if it is not installed."""
    try:
        from ctranslate2 import specs
    except ImportError as error:
        raise ResourceError("CTranslate2 is not installed; pip install 'nmt-cli[ctranslate2]'") from error
    return specs


def take_linear(parameters: UnusedParameters, spec: Any, name: str) -> None:
    """Copy a linear layer, which may have no bias."""
    spec.weight = parameters.take(f"{name}.weight")
    if f"{name}.bias" in parameters:
        spec.bias = parameters.take(f"{name}.bias")


def take_output(parameters: UnusedParameters, spec: Any) -> None:
    """Copy the output layer of a decoder, which may be tied to the embeddings that it has."""
    spec.projection.weight = spec.embeddings.weight
    if "output.projection.weight" in parameters:
        take_linear(parameters, spec.projection, "output.projection")
    elif "output.bias" in parameters:
        spec.projection.bias = parameters.take("output.bias")


def take_norm(parameters: UnusedParameters, spec: Any, name: str) -> None:
    """Copy a norm; RMSNorm has no bias."""
    spec.gamma = parameters.take(f"{name}.weight")
    if hasattr(spec, "beta"):
        spec.beta = parameters.take(f"{name}.bias")


def _encoder(specs: Any, settings: TransformerSettings, parameters: UnusedParameters) -> Any:
    spec = specs.TransformerEncoderSpec(
        settings.encoder_layers, multi_query_attention=settings.key_value_heads == 1, **layer_arguments(specs, settings)
    )
    source, target = "embeddings.source.weight", "embeddings.target.weight"
    spec.embeddings[0].weight = parameters.take(source if source in parameters else target)
    set_ends(spec, settings, parameters, "encoder_")
    for index, layer in enumerate(spec.layer):
        set_layer(layer, settings, parameters, f"encoder.{index}")
    return spec


def _decoder(specs: Any, settings: TransformerSettings, parameters: UnusedParameters) -> Any:
    spec = specs.TransformerDecoderSpec(settings.decoder_layers, **layer_arguments(specs, settings))
    spec.embeddings.weight = parameters.take("embeddings.target.weight")
    take_output(parameters, spec)
    set_ends(spec, settings, parameters, "decoder_")
    for index, layer in enumerate(spec.layer):
        name = f"decoder.{index}"
        set_layer(layer, settings, parameters, name)
        _set_scale(layer.attention, settings)
        for linear, part in zip(layer.attention.linear, ("query", "key_value", "output"), strict=True):
            take_linear(parameters, linear, f"{name}.cross_attention.{part}")
        take_norm(parameters, layer.attention.layer_norm, f"{name}.cross_attention_residual.norm")
    return spec


def layer_arguments(specs: Any, settings: LayerSettings) -> dict[str, Any]:
    """Return the arguments that encoders, decoders and language models share."""
    return {
        "num_heads": settings.heads,
        "num_heads_kv": settings.key_value_heads,
        "head_dim": settings.head_width,
        "pre_norm": settings.norm.position == "pre",
        "rms_norm": settings.norm.type == "rms",
        "activation": specs.Activation[_ACTIVATIONS[GATES.get(settings.activation, settings.activation)]],
        "ffn_glu": settings.activation in GATES,
        "layernorm_embedding": settings.norm.embeddings,
        "relative_attention_bias": settings.positions.type == "relative",
        "rotary_dim": 0 if settings.positions.type == "rotary" else None,
        "rotary_interleave": False,  # pairs are (i, i + d/2)
        "rotary_base": settings.positions.base if settings.positions.type == "rotary" else 10_000.0,
    }


def set_ends(
    spec: Any, settings: LayerSettings, parameters: UnusedParameters, prefix: str, norm: str | None = None
) -> None:
    """Set the positions of a side, and the norms before and after its layers.

    Args:
        prefix: Of the names of parameters.
        norm: Name of the last norm, by default with that prefix.
    """
    positions, name = settings.positions, f"{prefix}positions"
    spec.scale_embeddings = settings.scale_embeddings  # by the square root of the width
    if isinstance(positions, SinusoidalPositions):
        table = sinusoidal_encoding(torch.arange(MAX_POSITIONS), settings.width, positions)
        spec.position_encodings.encodings = as_array(table)
    elif isinstance(positions, LearnedPositions):
        spec.position_encodings.encodings = parameters.take(f"{name}.vectors.weight")
    elif hasattr(spec, "position_encodings"):
        del spec.position_encodings
    if isinstance(positions, RelativePositions):
        tables = parameters.take(f"{name}.biases")
        for index, layer in enumerate(spec.layer):
            layer.self_attention.relative_attention_bias = tables[index % len(tables)]
            layer.self_attention.relative_attention_max_distance = np.int32(positions.max_distance)
    if settings.norm.embeddings:
        take_norm(parameters, spec.layernorm_embedding, f"{prefix}embedding_norm")
    if settings.norm.position == "pre":
        take_norm(parameters, spec.layer_norm, norm or f"{prefix}norm")


def set_layer(spec: Any, settings: LayerSettings, parameters: UnusedParameters, name: str) -> None:
    """Set what layers of encoder and decoder have in common."""
    _set_scale(spec.self_attention, settings)
    for linear, part in zip(spec.self_attention.linear, ("query_key_value", "output"), strict=True):
        take_linear(parameters, linear, f"{name}.self_attention.{part}")
    take_norm(parameters, spec.self_attention.layer_norm, f"{name}.self_attention_residual.norm")
    take_norm(parameters, spec.ffn.layer_norm, f"{name}.feed_forward_residual.norm")
    inner = f"{name}.feed_forward.inner"
    take_linear(parameters, spec.ffn.linear_1, f"{name}.feed_forward.outer")
    if hasattr(spec.ffn, "linear_0_noact"):
        gate, values = spec.ffn.linear_0, spec.ffn.linear_0_noact
        gate.weight, values.weight = np.split(parameters.take(f"{inner}.weight"), 2)
        if f"{inner}.bias" in parameters:
            gate.bias, values.bias = np.split(parameters.take(f"{inner}.bias"), 2)
    else:
        take_linear(parameters, spec.ffn.linear_0, inner)


def _set_scale(spec: Any, settings: LayerSettings) -> None:
    """Set the factor on scores of attention, if it is not CTranslate2's default."""
    if not settings.scale_attention:
        spec.queries_scale = np.float32(1)
