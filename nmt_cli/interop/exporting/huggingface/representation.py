"""The class of transformers that computes a model.

Each class computes certain settings. They are known from the import: a configuration is written for each class in turn,
read as an import would read it, and used if it gives back the settings of the model.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.interop.huggingface import architecture
from nmt_cli.interop.huggingface.architecture import Architecture, Config
from nmt_cli.interop.marian_parameters import LAYER_NORM_EPSILON
from nmt_cli.models.positions import sinusoidal_encoding
from nmt_cli.models.transformer.layers import norm_epsilon
from nmt_cli.recipe.model import (
    DecoderOnlySettings,
    LearnedPositions,
    RelativePositions,
    SinusoidalPositions,
    TransformerSettings,
)
from nmt_cli.runs.directory import CONFIG, WEIGHTS

PROGRAM = "Hugging Face transformers"
_MIN_POSITIONS = 1024
"""Size of tables of positions; longer sentences are refused there."""
_ACTIVATIONS = {"gelu_tanh": "gelu_new", "silu": "swish"}
_T5_ACTIVATIONS = {"geglu_tanh": "gated-gelu", "swiglu": "gated-silu"}
HEAD, SHARED = "lm_head.weight", "model.shared.weight"
_IRRELEVANT = (
    "architecture",
    "preset",
    "decoder_start",
    "dropout",
    "attention_dropout",
    "activation_dropout",
    "layer_drop",
)


@dataclass(frozen=True)
class _Class:
    """A class of transformers, and what it has no configuration for."""

    name: str
    has_bias: bool = True
    """Whether it adds a bias to the logits."""
    has_table: bool = True
    """Whether sinusoidal positions are read from the file."""
    is_t5: bool = False


_CLASSES = {
    "marian": _Class("MarianMTModel"),
    "m2m_100": _Class("M2M100ForConditionalGeneration", has_bias=False, has_table=False),
    "pegasus": _Class("PegasusForConditionalGeneration"),
    "bart": _Class("BartForConditionalGeneration"),
    "mbart": _Class("MBartForConditionalGeneration"),
    "t5": _Class("T5ForConditionalGeneration", has_bias=False, is_t5=True),
    "umt5": _Class("UMT5ForConditionalGeneration", has_bias=False, is_t5=True),
}
"""By `model_type`, in the order in which they are tried."""


@dataclass
class StoredTensors:
    """The tensors that tell an import how a file is to be read."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def read(self, name: str) -> Tensor:
        return self.tensors[name] if name in self.tensors else torch.zeros(1)

    def add(self, name: str, tensor: Tensor) -> None:
        self.tensors[name], self.shapes = tensor, {**self.shapes, name: tuple(tensor.shape)}


def find_representation(
    exported: ExportedModel, settings: TransformerSettings
) -> tuple[dict[str, Any], Architecture, StoredTensors]:
    """Return the configuration of the class that computes the model, and where its parameters are.

    Raises:
        ModelError: There is none. The message names the settings that differ from those of the most similar class.
    """
    misfits = dict[str, list[str]]()
    for family, cls in _CLASSES.items():
        wanted = normalized(settings)
        if wanted["tied_embeddings"] == "decoder" and family != "marian":
            wanted["tied_embeddings"] = "none"  # the output layer is a copy
        if family == "marian" and wanted["norm.epsilon"] == LAYER_NORM_EPSILON:
            del wanted["norm.epsilon"]  # transformers computes all models of Marian with its default
        config = _config(family, cls, exported, settings, wanted["tied_embeddings"])
        stored = _stored_tensors(cls, exported, settings, wanted)
        try:
            found = architecture(Config(Path(CONFIG), config), stored)
        except ModelError as error:
            misfits[family] = [str(error).removeprefix(f"{CONFIG}: ")]
            continue
        assert isinstance(found.settings, TransformerSettings), "the classes are encoder-decoders"
        represented = normalized(found.settings)
        differences = [key for key in wanted if wanted[key] != represented.get(key)]
        misfits[family] = [f"model.{key}: {wanted[key]}, not {represented.get(key)}" for key in differences]
        misfits[family] += _special_misfits(family, cls, exported, wanted)
        if not misfits[family]:
            return config, found, stored
    is_relative = settings.positions.type == "relative"
    nearest = min(
        (family for family in misfits if _CLASSES[family].is_t5 == is_relative), key=lambda each: len(misfits[each])
    )
    raise ModelError(
        f"no class of {PROGRAM} computes this model; the most similar one, {nearest}, differs in"
        f" {'; '.join(misfits[nearest])}"
    )


def _special_misfits(family: str, cls: _Class, exported: ExportedModel, wanted: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a class cannot represent although an import would not notice it."""
    tokenizer = exported.tokenizer
    if wanted["output_bias"] and not cls.has_bias:
        yield "model.output_bias: True, not False"
    if family == "m2m_100" and tokenizer.special_tokens.pad != 1:
        yield f"the id of pad, {tokenizer.special_tokens.pad}, not 1"
    if family != "marian" and tokenizer.source_size != tokenizer.target_size:
        yield f"vocabularies of different sizes, {tokenizer.source_size} and {tokenizer.target_size}"
    if cls.is_t5 and wanted["tied_embeddings"] not in ("all", "input"):
        yield f"model.tied_embeddings: {wanted['tied_embeddings']}, not all or input"
    if family == "t5" and wanted["positions.each_layer"]:
        yield "model.positions.each_layer: True, not False"


def normalized(settings: TransformerSettings | DecoderOnlySettings) -> dict[str, Any]:
    """Return the settings that decide what a model computes, by key, with all defaults filled in."""
    values = settings.model_dump(exclude={*_IRRELEVANT, "norm", "positions"})
    values |= {f"norm.{key}": value for key, value in settings.norm.model_dump().items()}
    values |= {f"positions.{key}": value for key, value in settings.positions.model_dump().items()}
    is_tied = settings.tied_embeddings in ("decoder", "all")
    return values | {
        "head_width": settings.attention_head_width,
        "key_value_heads": settings.key_value_heads or settings.heads,
        "norm.epsilon": norm_epsilon(settings),
        "output_bias": not is_tied if settings.output_bias is None else settings.output_bias,
        "positions.each_layer": getattr(settings.positions, "each_layer", False),
    }


def _num_positions(exported: ExportedModel, settings: TransformerSettings) -> int:
    if isinstance(settings.positions, LearnedPositions):
        return settings.positions.length
    return max(_MIN_POSITIONS, exported.max_length + 8, exported.longest_sentence + 8)


def _config(
    family: str, cls: _Class, exported: ExportedModel, settings: TransformerSettings, tying: str
) -> dict[str, Any]:
    special, tokenizer = exported.tokenizer.special_tokens, exported.tokenizer
    config = {
        "model_type": family,
        "architectures": [cls.name],
        "is_encoder_decoder": True,
        "dtype": "float32",
        "vocab_size": tokenizer.source_size,
        "d_model": settings.width,
        "pad_token_id": special.pad,
        "bos_token_id": special.bos,
        "eos_token_id": special.eos,
        "decoder_start_token_id": exported.prompt[0],
        "forced_eos_token_id": None,
        "tie_word_embeddings": tying in ("all", "decoder"),
    }
    if cls.is_t5:
        positions = settings.positions if isinstance(settings.positions, RelativePositions) else None
        return config | {
            "num_layers": settings.encoder_layers,
            "num_decoder_layers": settings.decoder_layers,
            "num_heads": settings.heads,
            "d_kv": settings.attention_head_width,
            "d_ff": settings.feed_forward,
            "feed_forward_proj": _T5_ACTIVATIONS.get(settings.activation, settings.activation),
            "layer_norm_epsilon": norm_epsilon(settings),
            "dropout_rate": settings.dropout,
            **(
                {}
                if positions is None
                else {
                    "relative_attention_num_buckets": positions.buckets,
                    "relative_attention_max_distance": positions.max_distance,
                }
            ),
        }
    config |= {"decoder_vocab_size": tokenizer.target_size} if family == "marian" else {}
    sizes = {"layers": (settings.encoder_layers, settings.decoder_layers)}
    sizes |= {"attention_heads": (settings.heads,) * 2, "ffn_dim": (settings.feed_forward,) * 2}
    return config | {
        **{f"{side}_{name}": size[i] for name, size in sizes.items() for i, side in enumerate(("encoder", "decoder"))},
        "activation_function": _ACTIVATIONS.get(settings.activation, settings.activation),
        "scale_embedding": settings.scale_embeddings,
        "share_encoder_decoder_embeddings": tying in ("all", "input"),
        "max_position_embeddings": _num_positions(exported, settings),
        "dropout": settings.dropout,
        "attention_dropout": settings.attention_dropout,
        "activation_dropout": settings.activation_dropout,
    }


def _stored_tensors(
    cls: _Class, exported: ExportedModel, settings: TransformerSettings, wanted: Mapping[str, Any]
) -> StoredTensors:
    stored, size = StoredTensors(Path(WEIGHTS)), exported.tokenizer.target_size
    if wanted["tied_embeddings"] in ("none", "input"):
        stored.add(HEAD, torch.ones(1))
        stored.add(SHARED, torch.zeros(1))
    if cls.has_bias:
        stored.add("final_logits_bias", torch.full((1, size), float(wanted["output_bias"])))
    if cls.has_table and not cls.is_t5 and isinstance(settings.positions, SinusoidalPositions):
        positions = torch.arange(_num_positions(exported, settings))
        for side in ("encoder", "decoder"):
            table = sinusoidal_encoding(positions, settings.width, settings.positions)
            stored.add(f"model.{side}.embed_positions.weight", table)
    return stored
