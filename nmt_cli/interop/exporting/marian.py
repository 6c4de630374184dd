"""Export of a Transformer to Marian (Junczys-Dowmunt et al. 2018): npz, vocabularies and the options of its decoder."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nmt_cli import __version__
from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting.model import ExportedModel, as_array
from nmt_cli.interop.exporting.sentencepiece_files import token_names, write_tokenizer
from nmt_cli.interop.foreign import Part
from nmt_cli.interop.marian_files import OPTIONS
from nmt_cli.interop.marian_parameters import (
    ACTIVATIONS,
    LAYER_NORM_EPSILON,
    NORM_POSITIONS,
    PAD_LOGIT,
    parameter_parts,
)
from nmt_cli.models.transformer.layers import norm_epsilon
from nmt_cli.recipe.model import SinusoidalPositions, TransformerSettings

_VERSION = "v1.12.0"
"""Of Marian, whose models have these options."""
_DEFAULT_LENGTH_FACTOR = 3.0
"""Marian's default."""
MODEL_FILE, DECODER_FILE = "model.npz", "decoder.yml"
_FIXED_OPTIONS = {
    "type": "transformer",
    "bert-train-type-embeddings": True,
    "bert-type-vocab-size": 2,
    "dec-cell-base-depth": 2,
    "dec-cell-high-depth": 1,
    "dim-rnn": 1024,
    "enc-cell": "gru",
    "enc-cell-depth": 1,
    "enc-type": "bidirectional",
    "factors-combine": "sum",
    "factors-dim-emb": 0,
    "input-types": [],
    "layer-normalization": False,
    "lemma-dependency": "",
    "lemma-dim-emb": 0,
    "right-left": False,
    "separator-symbol": "[eos]",
    "skip": False,
    "transformer-aan-activation": "swish",
    "transformer-aan-depth": 2,
    "transformer-aan-nogate": False,
    "transformer-alibi-shift": False,
    "transformer-alibi-trainable": False,
    "transformer-attention-mask": "default",
    "transformer-decoder-dim-ffn": 0,
    "transformer-decoder-ffn-depth": 0,
    "transformer-dim-aan": 2048,
    "transformer-disable-position-embeddings": False,
    "transformer-ffn-depth": 2,
    "transformer-guided-alignment-layer": "last",
    "transformer-no-affine": False,
    "transformer-no-bias": False,
    "transformer-no-projection": False,
    "transformer-pool": False,
    "transformer-postprocess-emb": "d",
    "transformer-rnn-projection": False,
    "transformer-tied-layers": [],
    "transformer-train-position-embeddings": False,
    "ulr": False,
    "ulr-dim-emb": 0,
    "ulr-trainable-transformation": False,
}
"""Options that do not depend on the model. Marian reads them all from the model, and refuses one that lacks them."""

RECIPE_ADVICE = "train with the values under “Marian” in docs/exporting.md"

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class MarianModel:
    """A model in Marian's terms."""

    settings: TransformerSettings
    source: list[str]
    """Names of the source vocabulary, by id."""
    target: list[str]
    arrays: Arrays
    """Marian's tensors, by name."""

    @classmethod
    def of(cls, exported: ExportedModel, program: str) -> Self:
        """Convert a model; ModelError names whatever `program`, a member of Marian's family, does not support."""
        settings, tokenizer = exported.transformer(program, is_marian=True), exported.tokenizer
        exported.require_ordinary_ends(program)
        if reasons := list(_unsupported(exported, settings)):
            raise ModelError(f"{'; '.join(reasons)}: not supported by {program}; {RECIPE_ADVICE}")
        parameters = dict(exported.model.named_parameters())
        # An imported model has a pad of nmt's own, whose probability is zero.
        special, bias = (
            tokenizer.special_tokens,
            parameters.get("output.bias", parameters.get("output.projection.bias")),
        )
        has_pad = special.pad == special.decoder_start == tokenizer.target_size - 1
        has_pad &= bias is not None and bool(bias[special.pad] < PAD_LOGIT / 2)
        source, target = (names[: len(names) - has_pad] for names in token_names(tokenizer))
        for names in (source, target):
            if (names[special.eos], names[special.unk]) != ("</s>", "<unk>"):
                raise ModelError(f"the tokenizer has ordinary tokens </s> or <unk>, which {program} reserves")
        parts, arrays = parameter_parts(settings, has_pad=has_pad), Arrays()
        for name, parameter in parameters.items():
            if name not in parts:
                raise ModelError(f"{program} does not support the model's parameter {name}")
            arrays |= _split(as_array(parameter), parts[name])
        return cls(settings, source, target, arrays)


def _unsupported(exported: ExportedModel, settings: TransformerSettings) -> Iterator[str]:
    """Yield the recipe keys whose values Marian does not have."""
    positions, start = settings.positions, exported.tokenizer.special_tokens.decoder_start
    if not isinstance(positions, SinusoidalPositions):
        yield f"model.positions.type: {positions.type} instead of sinusoidal"
    elif (positions.spacing, positions.offset) != ("t2t", 0):
        yield (
            f"model.positions: spacing {positions.spacing} and offset {positions.offset} instead of spacing t2t and"
            " offset 0"
        )
    if settings.decoder_start != "zeros" and bool(
        exported.model.get_parameter("embeddings.target.weight")[start].any()
    ):
        yield "model.decoder_start: bos instead of zeros"
    if settings.norm.type != "layer" or settings.norm.embeddings:
        yield f"model.norm: type {settings.norm.type}, embeddings {settings.norm.embeddings} instead of layer and false"
    elif norm_epsilon(settings) != LAYER_NORM_EPSILON:
        yield f"model.norm.epsilon: {norm_epsilon(settings):g} instead of {LAYER_NORM_EPSILON:g}"
    if settings.activation not in ACTIVATIONS.values():
        yield f"model.activation: {settings.activation} instead of {' or '.join(ACTIVATIONS.values())}"
    if not (settings.bias and settings.scale_embeddings and settings.scale_attention):
        yield "model.bias, model.scale_embeddings, model.scale_attention: false instead of true"
    if (settings.key_value_heads or settings.heads) != settings.heads:
        yield f"model.key_value_heads: {settings.key_value_heads} instead of heads, {settings.heads}"
    if settings.attention_head_width * settings.heads != settings.width:
        yield f"model.head_width: {settings.head_width} instead of width / heads"
    if exported.target_prefix or not exported.source_eos:
        yield "tokens of the target language before translations, or sources without eos"


def _split(parameter: npt.NDArray[np.float32], parts: Sequence[Part]) -> Arrays:
    """Return the tensors of which a parameter consists; Marian has no vectors, but rows."""
    rows = parameter.reshape(len(parameter), -1)
    stored = [part for part in parts if part.constant is None]
    size = (len(rows) - sum(len(part.constant) for part in parts if part.constant is not None)) // len(stored)
    found = [rows[i * size : (i + 1) * size] for i in range(len(stored))]
    is_vector = parameter.ndim == 1
    return {
        part.name: np.ascontiguousarray(each.T if part.is_transposed or is_vector else each)
        for part, each in zip(stored, found, strict=True)
    }


def write(exported: ExportedModel, folder: Path) -> Mapping[str, Any]:
    """Write a model in fp32, its vocabularies, SentencePiece models and normalisation; see ExportFormat.

    Raises:
        ModelError: Marian does not support the model, its tokenizer or one of its parameters.
    """
    model, tokenizer = MarianModel.of(exported, "Marian"), exported.tokenizer
    write_tokenizer(tokenizer, folder, "Marian")
    names = ["vocab.yml"] * 2 if model.source == model.target else ["source.vocab.yml", "target.vocab.yml"]
    for name, entries in zip(names, (model.source, model.target), strict=True):
        (folder / name).write_text(vocabulary_yaml(entries), encoding="utf-8")
    options = np.frombuffer(model_options(model), np.int8)
    tensors: dict[str, Any] = {**model.arrays, OPTIONS: options}
    np.savez(folder / MODEL_FILE, **tensors)
    decoder = {"relative-paths": True, "models": [MODEL_FILE], "vocabs": names, **search_options(exported)}
    (folder / DECODER_FILE).write_text(as_yaml(decoder), encoding="utf-8")
    return {"normalization": tokenizer.normalization, "before": [model.source[i] for i in exported.source_prefix]}


def model_options(model: MarianModel) -> bytes:
    """Return the options that Marian reads from a model, as YAML that ends with NUL."""
    settings = model.settings
    norm = next(key for key, position in NORM_POSITIONS.items() if position == settings.norm.position)
    activation = next(key for key, name in ACTIVATIONS.items() if name == settings.activation)
    is_recurrent, tying = settings.decoder_self_attention == "ssru", settings.tied_embeddings
    options = _FIXED_OPTIONS | {
        "dim-emb": settings.width,
        "dim-vocabs": [len(model.source), len(model.target)],
        "enc-depth": settings.encoder_layers,
        "dec-depth": settings.decoder_layers,
        "dec-cell": "ssru" if is_recurrent else "gru",
        "output-omit-bias": "decoder_ff_logit_out_b" not in model.arrays,
        "tied-embeddings": tying == "decoder",
        "tied-embeddings-all": tying == "all",
        "tied-embeddings-src": tying == "input",
        "transformer-decoder-autoreg": "rnn" if is_recurrent else "self-attention",
        "transformer-dim-ffn": settings.feed_forward,
        "transformer-ffn-activation": activation,
        "transformer-heads": settings.heads,
        "transformer-preprocess": norm[0],
        "transformer-postprocess": norm[1],
        "transformer-postprocess-top": norm[2],
        "version": f"{_VERSION} nmt {__version__}",
    }
    return as_yaml(options).encode() + b"\0"


def search_options(exported: ExportedModel) -> dict[str, Any]:
    """Return the options of Marian's beam search."""
    decoding = exported.decoding
    is_marians = decoding.max_length_offset == decoding.max_length_ratio
    return {
        "beam-size": decoding.beam_size,
        "normalize": decoding.length_penalty,
        "word-penalty": 0,
        "max-length-factor": decoding.max_length_ratio if is_marians else _DEFAULT_LENGTH_FACTOR,
        "mini-batch": 32,
        "maxi-batch": 100,
        "maxi-batch-sort": "src",
    }


def as_yaml(options: Mapping[str, Any]) -> str:
    """Return options as YAML, sorted by name."""
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in sorted(options.items()))


def vocabulary_yaml(entries: Sequence[str]) -> str:
    """Return a vocabulary in Marian's format."""
    return "".join(f"{json.dumps(entry, ensure_ascii=False)}: {i}\n" for i, entry in enumerate(entries))
