"""Import of encoder-decoders in the format of CTranslate2 (Klein et al. 2020)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from nmt_cli.errors import ModelError
from nmt_cli.interop.ctranslate2_files import CTranslate2Source
from nmt_cli.interop.ctranslate2_vocabularies import load_tokenizer
from nmt_cli.interop.foreign import ForeignModel, Part, read_object
from nmt_cli.models.positions import sinusoidal_encoding
from nmt_cli.recipe.model import SinusoidalPositions, TransformerSettings

MODEL = "model.bin"
_HEADS = {"TransformerBase": 8, "TransformerBig": 16}
"""Numbers of heads of old models, which do not store them."""
_SPECIFICATIONS = (*_HEADS, "TransformerSpec")
_ACTIVATIONS = {0: "relu", 1: "gelu_tanh", 2: "silu", 3: "gelu"}
_GATED = {"silu": "swiglu", "gelu": "geglu", "gelu_tanh": "geglu_tanh"}
_READ = {
    "num_heads",
    "num_heads_kv",
    "multi_query_attention",
    "pre_norm",
    "activation",
    "scale_embeddings",
    "embeddings_merge",
    "alignment_layer",
    "alignment_heads",
    "head_dim",
    "rotary_dim",
    "rotary_interleave",
    "rotary_base",
    "relative_attention_max_distance",
    "queries_scale",
}
"""Attributes that are read here, follow from the shapes of tensors, or change no translation. Others must be zero."""
_QUERIES = "attention/linear_0/weight"
_POSITIONS = [
    SinusoidalPositions.model_validate({"spacing": spacing, "offset": offset})
    for spacing, offset in product(("t2t", "paper"), (0, 1, 2))
]
_LONGEST_SENTENCE = 200


def is_ctranslate2(folder: Path) -> bool:
    """Return whether a folder contains a model of this format."""
    return (folder / MODEL).is_file() and any(folder.glob("*_vocabulary.*"))


def load(folder: Path, scratch: Path) -> ForeignModel:
    """Describe the model in a folder; see huggingface.load."""
    tensors = CTranslate2Source(folder / MODEL)
    if tensors.specification not in _SPECIFICATIONS:
        known = ", ".join(_SPECIFICATIONS)
        raise ModelError(f"{tensors.path}: {tensors.specification} is not supported; supported are {known}")
    for name, value in tensors.attributes.items():
        if name.rpartition("/")[2] not in _READ and value != 0:
            raise ModelError(f"{tensors.path}: {name}: {value:g} is not supported")
    config = read_object(folder / "config.json") if (folder / "config.json").is_file() else {}
    if config.get("add_source_bos"):
        raise ModelError(f"{folder / 'config.json'}: add_source_bos: true is not supported")
    try:
        settings, redundant = _settings(tensors, config)
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelError(f"{tensors.path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    sizes = [tensors.shapes[_owner_of_matrix(tensors, side)][0] for side in ("source", "target")]
    tokenizer, orders = load_tokenizer(folder, sizes, config)
    return ForeignModel(
        "CTranslate2",
        settings,
        _parameters(tensors, settings, orders),
        tensors,
        tokenizer,
        _LONGEST_SENTENCE,
        redundant=redundant,
        source_eos=bool(config.get("add_source_eos", False)),
    )


class _Attributes:
    """The attributes that encoder and decoder must have in common."""

    def __init__(self, tensors: CTranslate2Source) -> None:
        self._tensors = tensors

    def get(self, name: str, default: float) -> float:
        encoder, decoder = (self._tensors.attributes.get(f"{side}/{name}", default) for side in ("encoder", "decoder"))
        if encoder != decoder:
            raise ModelError(
                f"{self._tensors.path}: {name}: differs between encoder and decoder, which is not supported"
            )
        return encoder


def _settings(
    tensors: CTranslate2Source, config: Mapping[str, Any]
) -> tuple[TransformerSettings, dict[str, str | Tensor | None]]:
    shapes, attributes = {name: tensors.shapes[tensors.owner(name)] for name in _names(tensors)}, _Attributes(tensors)
    try:
        width = shapes["decoder/embeddings/weight"][1]
        layer, ffn = "encoder/layer_0/self_attention", "encoder/layer_0/ffn"
        heads = int(attributes.get("num_heads", _HEADS.get(tensors.specification, 0)))
        head_width = int(tensors.attributes.get(f"{layer}/head_dim", width // max(heads, 1)))
        feed_forward = shapes[f"{ffn}/linear_0/weight"][0]
        key_value_heads = (shapes[f"{layer}/linear_0/weight"][0] // max(head_width, 1) - heads) // 2
    except (KeyError, IndexError) as error:
        raise ModelError(f"{tensors.path}: tensor {error.args[0]} is missing, or has no columns") from error
    activation = _ACTIVATIONS.get(int(attributes.get("activation", 0)))
    if f"{ffn}/linear_0_noact/weight" in shapes:
        activation = _GATED.get(activation or "")
    if activation is None:
        raise ModelError(f"{tensors.path}: the activation {attributes.get('activation', 0):g} is not supported")
    source, target, output = (_owner_of_matrix(tensors, name) for name in ("source", "target", "output"))
    tying = {(True, True): "all", (False, True): "decoder", (True, False): "input", (False, False): "none"}
    positions, redundant = _positions(tensors, shapes, width)
    norm_type = "layer" if "decoder/layer_0/ffn/layer_norm/beta" in shapes else "rms"
    settings = TransformerSettings.model_validate(
        {
            "architecture": "transformer",
            "width": width,
            "feed_forward": feed_forward,
            "encoder_layers": _count_layers(shapes, "encoder"),
            "decoder_layers": _count_layers(shapes, "decoder"),
            "heads": heads,
            "key_value_heads": None if key_value_heads == heads else key_value_heads,
            "head_width": None if head_width * heads == width else head_width,
            "activation": activation,
            "bias": f"{layer}/linear_0/bias" in shapes,
            "norm": {
                "position": "pre" if attributes.get("pre_norm", 1) else "post",
                "type": norm_type,
                "epsilon": config.get("layer_norm_epsilon") or {"layer": 1e-5, "rms": 1e-6}[norm_type],
                "embeddings": "encoder/layernorm_embedding/gamma" in shapes,
            },
            "positions": positions,
            "tied_embeddings": tying[source == target, target == output],
            "scale_embeddings": bool(attributes.get("scale_embeddings", 1)),
            "scale_attention": _scales_attention(tensors, head_width),
            "output_bias": "decoder/projection/bias" in shapes,
        }
    )
    return settings, redundant


def _scales_attention(tensors: CTranslate2Source, head_width: int) -> bool:
    """Return whether scores are divided by the square root of the head's width, as by default, or left as they are."""
    default = max(head_width, 1) ** -0.5
    attentions = [name.removesuffix("/linear_0/weight") for name in _names(tensors) if name.endswith(_QUERIES)]
    scales = {tensors.attributes.get(f"{attention}/queries_scale", default) for attention in attentions}
    if all(math.isclose(scale, default, rel_tol=1e-6) for scale in scales):
        return True
    if scales != {1}:
        raise ModelError(f"{tensors.path}: queries_scale: {max(scales):g} is not supported")
    return False


def _names(tensors: CTranslate2Source) -> Iterator[str]:
    yield from tensors.shapes
    yield from (alias for alias, name in tensors.aliases.items() if name in tensors.shapes)


def _owner_of_matrix(tensors: CTranslate2Source, kind: str) -> str:
    """Return where the embeddings of a side, or the output matrix, are stored."""
    names = {
        "source": ["encoder/embeddings_0/weight", "encoder/embeddings/weight"],
        "target": ["decoder/embeddings/weight"],
        "output": ["decoder/projection/weight"],
    }[kind]
    found = [tensors.owner(name) for name in names if tensors.owner(name) in tensors.shapes]
    return found[0] if found else names[0]


def _count_layers(shapes: Mapping[str, Any], side: str) -> int:
    return len({name.split("/")[1] for name in shapes if name.startswith(f"{side}/layer_") and name.count("/") > 2})


def _positions(
    tensors: CTranslate2Source, shapes: Mapping[str, tuple[int, ...]], width: int
) -> tuple[dict[str, Any], dict[str, str | Tensor | None]]:
    """Return the settings of positions, and the tables of sinusoids that are stored."""
    layer, tables = (
        "encoder/layer_0/self_attention",
        [f"{side}/position_encodings/encodings" for side in ("encoder", "decoder")],
    )
    if f"{layer}/relative_attention_bias" in shapes:
        first = [tensors.owner(f"encoder/layer_{i}/self_attention/relative_attention_bias") for i in (0, 1)]
        return {
            "type": "relative",
            "buckets": shapes[f"{layer}/relative_attention_bias"][0],
            "max_distance": int(tensors.attributes.get(f"{layer}/relative_attention_max_distance", 128)),
            "each_layer": first[1] in tensors.shapes and first[0] != first[1],
        }, {}
    if f"{layer}/rotary_dim" in tensors.attributes:
        found = [
            tensors.attributes.get(f"{layer}/{name}", 0) for name in ("rotary_dim", "rotary_interleave", "rotary_base")
        ]
        if found not in ([0, 0, 10000], [0, 0, 0]):
            raise ModelError(
                f"{tensors.path}: {layer}: rotary_dim, rotary_interleave, rotary_base: {found} is not supported"
            )
        return {"type": "rotary"}, {}
    if tables[0] not in shapes:
        return {"type": "sinusoidal", "spacing": "t2t", "offset": 1}, {}
    stored = tensors.read(tensors.owner(tables[0]))
    for known in _POSITIONS:
        table = sinusoidal_encoding(torch.arange(len(stored)), width, known)
        if table.shape == stored.shape and torch.allclose(stored, table, atol=1e-4, rtol=0):
            return known.model_dump(), {tensors.owner(name): table for name in tables}
    return {"type": "learned", "length": len(stored)}, {}


def _parameters(
    tensors: CTranslate2Source, settings: TransformerSettings, orders: tuple[Sequence[int], Sequence[int]]
) -> dict[str, Sequence[Part]]:
    """Return the tensors of each parameter; `orders` are the rows of both vocabularies in the order of nmt."""
    found: dict[str, Sequence[Part]] = {
        "embeddings.source.weight": _rows(_owner_of_matrix(tensors, "source"), orders[0]),
        "embeddings.target.weight": _rows(_owner_of_matrix(tensors, "target"), orders[1]),
        "output.projection.weight": _rows(_owner_of_matrix(tensors, "output"), orders[1]),
    }
    bias = _rows(tensors.owner("decoder/projection/bias"), orders[1])
    found["output.bias"] = found["output.projection.bias"] = bias
    for side, count in (("encoder", settings.encoder_layers), ("decoder", settings.decoder_layers)):
        for ours, theirs in (("norm", "layer_norm"), ("embedding_norm", "layernorm_embedding")):
            found |= _norm(tensors, f"{side}_{ours}", f"{side}/{theirs}")
        found[f"{side}_positions.vectors.weight"] = [Part(tensors.owner(f"{side}/position_encodings/encodings"))]
        bias_name = "self_attention/relative_attention_bias"
        num_tables = count if getattr(settings.positions, "each_layer", False) else 1
        found[f"{side}_positions.biases"] = [
            Part(tensors.owner(f"{side}/layer_{i}/{bias_name}")) for i in range(num_tables)
        ]
        for layer in range(count):
            found |= _layer(tensors, settings, f"{side}.{layer}", f"{side}/layer_{layer}")
    return found


def _layer(
    tensors: CTranslate2Source, settings: TransformerSettings, ours: str, theirs: str
) -> dict[str, Sequence[Part]]:
    found: dict[str, Sequence[Part]] = {}
    inner = ["ffn/linear_0", *(["ffn/linear_0_noact"] if settings.activation in _GATED.values() else [])]
    names = {
        "self_attention.query_key_value": ["self_attention/linear_0"],
        "self_attention.output": ["self_attention/linear_1"],
        "cross_attention.query": ["attention/linear_0"],
        "cross_attention.key_value": ["attention/linear_1"],
        "cross_attention.output": ["attention/linear_2"],
        "feed_forward.inner": inner,
        "feed_forward.outer": ["ffn/linear_1"],
    }
    for name, parts in names.items():
        for kind in ("weight", "bias"):
            found[f"{ours}.{name}.{kind}"] = [Part(tensors.owner(f"{theirs}/{part}/{kind}")) for part in parts]
    for residual, part in (
        ("self_attention", "self_attention"),
        ("cross_attention", "attention"),
        ("feed_forward", "ffn"),
    ):
        found |= _norm(tensors, f"{ours}.{residual}_residual.norm", f"{theirs}/{part}/layer_norm")
    return found


def _norm(tensors: CTranslate2Source, ours: str, theirs: str) -> dict[str, Sequence[Part]]:
    names = {"weight": "gamma", "bias": "beta"}
    return {f"{ours}.{name}": [Part(tensors.owner(f"{theirs}/{kind}"))] for name, kind in names.items()}


def _rows(name: str, order: Sequence[int]) -> list[Part]:
    """Return rows of a tensor in an order, as runs of consecutive ones."""
    starts = [i for i, row in enumerate(order) if i == 0 or row != order[i - 1] + 1]
    ends = [*starts[1:], len(order)]
    return [
        Part(name, rows=(order[start], order[start] + end - start)) for start, end in zip(starts, ends, strict=True)
    ]
