"""Export of a Transformer to CTranslate2, an inference engine in C++ (Klein et al. 2020)."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jinja2 import Environment, StrictUndefined
from torch import Tensor

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import SEPARATOR
from nmt_cli.errors import ModelError, ResourceError
from nmt_cli.interop.export_proof import prove_scores, prove_text
from nmt_cli.models.contract import Model
from nmt_cli.models.positions import sinusoidal_encoding
from nmt_cli.models.transformer_layers import GATES, norm_epsilon
from nmt_cli.recipe.model import LearnedPositions, RelativePositions, SinusoidalPositions, TransformerSettings
from nmt_cli.text import normalization

MAX_POSITIONS = 2048
"""Size of the table of sinusoidal positions: CTranslate2 refuses longer sentences."""

_ACTIVATIONS = {"relu": "RELU", "gelu": "GELU", "gelu_tanh": "GELUTanh", "silu": "SWISH"}

_GUIDE = Path(__file__).with_name("ctranslate2_guide.md.j2")


def export(model: Model, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a model in fp32 into a folder, with its SentencePiece models, normalisation and a guide, README.md.

    Raises:
        ModelError: CTranslate2 does not support the model, its tokenizer or one of its parameters, or gives other
            tokens or probabilities.
        ResourceError: CTranslate2 is not installed.
    """
    specs = _import_specs()
    settings = model.export_settings()
    if settings is None:
        raise ModelError("model.architecture: is not supported by CTranslate2; it needs a transformer")
    if tokenizer.factors.names:
        raise ModelError(f"data.factors: {', '.join(tokenizer.factors.names)}: CTranslate2 does not support factors")
    segmenters = tokenizer.source.segmenter, tokenizer.target.segmenter
    for segmenter in segmenters:
        if segmenter.sentencepiece_model is None:
            raise ModelError(
                f"tokenizer.algorithm: {segmenter.name} is not supported by CTranslate2, which uses SentencePiece"
            )
    parameters = _UnusedParameters(dict(model.named_parameters()))
    spec = specs.TransformerSpec(_encoder(specs, settings, parameters), _decoder(specs, settings, parameters))
    if parameters.names:
        raise ModelError(f"CTranslate2 does not support the model's parameters {', '.join(sorted(parameters.names))}")
    source, target = token_names(tokenizer)
    special = tokenizer.special_tokens
    spec.register_source_vocabulary(source)
    spec.register_target_vocabulary(target)
    spec.config.unk_token, spec.config.bos_token = target[special.unk], target[special.bos]
    spec.config.eos_token, spec.config.decoder_start_token = target[special.eos], target[special.decoder_start]
    spec.config.add_source_eos = True
    spec.config.layer_norm_epsilon = norm_epsilon(settings)
    spec.validate()
    spec.optimize()  # tied weights are stored once
    spec.save(str(folder))
    for name, segmenter in zip(("source.spm", "target.spm"), segmenters, strict=True):
        (folder / name).write_bytes(segmenter.sentencepiece_model or b"")
    shutil.copyfile(normalization.__file__, folder / "normalization.py")
    (folder / "README.md").write_text(_guide(tokenizer, source, target), encoding="utf-8")
    prove_text(folder, tokenizer, source, target)
    prove_scores(folder, model, source, target)


def _guide(tokenizer: Tokenizer, source: list[str], target: list[str]) -> str:
    special, sides = tokenizer.special_tokens, [(tokenizer.source, source), (tokenizer.target, target)]
    source_tags, target_tags = (
        {name: names[token] for name, token in side.tags.items() if name != SEPARATOR} for side, names in sides
    )
    suppressed = [target[special.pad], target[special.bos], *target_tags.values()]
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True)
    return environment.from_string(_GUIDE.read_text("utf-8")).render(
        normalization=tokenizer.normalization,
        tags=source_tags,
        suppressed=[[name] for name in suppressed],
        separators=[names[side.tag_id(SEPARATOR)] for side, names in sides if SEPARATOR in tokenizer.source.tags],
    )


def token_names(tokenizer: Tokenizer) -> tuple[list[str], list[str]]:
    """Return the names of the entries of the source and the target vocabulary, by id.

    CTranslate2 knows tokens by their names alone, so special tokens and tags get names that no piece has.
    """
    sides = tokenizer.source, tokenizer.target
    source, target = (sorted({*side.special_tokens.ids, *side.tags.values()}) for side in sides)
    pieces = {
        piece
        for side, others in zip(sides, (source, target), strict=True)
        for token, piece in enumerate(side.entries)
        if token not in others
    }
    return _renamed(sides[0].entries, source, pieces), _renamed(sides[1].entries, target, pieces)


def _renamed(entries: list[str], others: list[int], pieces: set[str]) -> list[str]:
    """Rename the entries `others` to names that differ from all pieces and from each other."""
    names, used = list(entries), set(pieces)
    for token in others:
        while names[token] in used:
            names[token] += "special"
        used.add(names[token])
    return names


def _import_specs() -> Any:
    try:
        from ctranslate2 import specs
    except ImportError as error:
        raise ResourceError("CTranslate2 is not installed; pip install 'nmt-cli[ctranslate2]'") from error
    return specs


class _UnusedParameters:
    """The parameters of a model that have not been copied into the export yet."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self._parameters, self.names = parameters, set(parameters)

    def __contains__(self, name: str) -> bool:
        return name in self._parameters

    def take(self, name: str) -> npt.NDArray[np.float32]:
        """Return a parameter in fp32. Tied parameters may be taken several times."""
        self.names.discard(name)
        return _array(self._parameters[name])

    def take_linear(self, spec: Any, name: str) -> None:
        """Copy a linear layer, which may have no bias."""
        spec.weight = self.take(f"{name}.weight")
        if f"{name}.bias" in self:
            spec.bias = self.take(f"{name}.bias")

    def take_norm(self, spec: Any, name: str) -> None:
        """Copy a norm; RMSNorm has no bias."""
        spec.gamma = self.take(f"{name}.weight")
        if hasattr(spec, "beta"):
            spec.beta = self.take(f"{name}.bias")


def _encoder(specs: Any, settings: TransformerSettings, parameters: _UnusedParameters) -> Any:
    spec = specs.TransformerEncoderSpec(
        settings.encoder_layers, multi_query_attention=settings.key_value_heads == 1, **_arguments(specs, settings)
    )
    source, target = "embeddings.source.weight", "embeddings.target.weight"
    spec.embeddings[0].weight = parameters.take(source if source in parameters else target)
    _set_ends(spec, settings, parameters, "encoder")
    for index, layer in enumerate(spec.layer):
        _set_layer(layer, parameters, f"encoder.{index}")
    return spec


def _decoder(specs: Any, settings: TransformerSettings, parameters: _UnusedParameters) -> Any:
    spec = specs.TransformerDecoderSpec(settings.decoder_layers, **_arguments(specs, settings))
    spec.embeddings.weight = parameters.take("embeddings.target.weight")
    spec.projection.weight = spec.embeddings.weight
    if "output.projection.weight" in parameters:
        parameters.take_linear(spec.projection, "output.projection")
    elif "output.bias" in parameters:
        spec.projection.bias = parameters.take("output.bias")
    _set_ends(spec, settings, parameters, "decoder")
    for index, layer in enumerate(spec.layer):
        name = f"decoder.{index}"
        _set_layer(layer, parameters, name)
        for linear, part in zip(layer.attention.linear, ("query", "key_value", "output"), strict=True):
            parameters.take_linear(linear, f"{name}.cross_attention.{part}")
        parameters.take_norm(layer.attention.layer_norm, f"{name}.cross_attention_residual.norm")
    return spec


def _arguments(specs: Any, settings: TransformerSettings) -> dict[str, Any]:
    """Return the arguments that encoder and decoder share."""
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
    }


def _set_ends(spec: Any, settings: TransformerSettings, parameters: _UnusedParameters, side: str) -> None:
    """Set the positions of a side, and the norms before and after its layers."""
    positions, name = settings.positions, f"{side}_positions"
    spec.scale_embeddings = settings.scale_embeddings  # by the square root of the width
    if isinstance(positions, SinusoidalPositions):
        table = sinusoidal_encoding(torch.arange(MAX_POSITIONS), settings.width, positions)
        spec.position_encodings.encodings = _array(table)
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
        parameters.take_norm(spec.layernorm_embedding, f"{side}_embedding_norm")
    if settings.norm.position == "pre":
        parameters.take_norm(spec.layer_norm, f"{side}_norm")


def _set_layer(spec: Any, parameters: _UnusedParameters, name: str) -> None:
    """Set what layers of encoder and decoder have in common."""
    for linear, part in zip(spec.self_attention.linear, ("query_key_value", "output"), strict=True):
        parameters.take_linear(linear, f"{name}.self_attention.{part}")
    parameters.take_norm(spec.self_attention.layer_norm, f"{name}.self_attention_residual.norm")
    parameters.take_norm(spec.ffn.layer_norm, f"{name}.feed_forward_residual.norm")
    inner = f"{name}.feed_forward.inner"
    parameters.take_linear(spec.ffn.linear_1, f"{name}.feed_forward.outer")
    if hasattr(spec.ffn, "linear_0_noact"):
        gate, values = spec.ffn.linear_0, spec.ffn.linear_0_noact
        gate.weight, values.weight = np.split(parameters.take(f"{inner}.weight"), 2)
        if f"{inner}.bias" in parameters:
            gate.bias, values.bias = np.split(parameters.take(f"{inner}.bias"), 2)
    else:
        parameters.take_linear(spec.ffn.linear_0, inner)


def _array(tensor: Tensor) -> npt.NDArray[np.float32]:
    return tensor.detach().float().cpu().contiguous().numpy()
