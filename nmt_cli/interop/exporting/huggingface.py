"""Export to a folder of Hugging Face transformers (Wolf et al. 2020).

Each class of transformers computes certain settings. They are known from the import: a configuration is written for
each class in turn, read as an import would read it, and used if it gives back the settings of the model.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nmt_cli import files
from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting.huggingface_tokenizer import TARGET_TOKENIZER, write_tokenizers
from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.interop.foreign import Part
from nmt_cli.interop.huggingface import architecture
from nmt_cli.interop.huggingface.architecture import Architecture, Config
from nmt_cli.models.positions import sinusoidal_encoding
from nmt_cli.models.transformer_layers import norm_epsilon
from nmt_cli.recipe.model import LearnedPositions, RelativePositions, SinusoidalPositions, TransformerSettings
from nmt_cli.runs.checkpoints import write_tensor_stream
from nmt_cli.runs.directory import CONFIG, WEIGHTS

PROGRAM = "Hugging Face transformers"
_MIN_POSITIONS = 1024
"""Size of tables of positions; longer sentences are refused there."""
_ACTIVATIONS = {"gelu_tanh": "gelu_new", "silu": "swish"}
_T5_ACTIVATIONS = {"geglu_tanh": "gated-gelu", "swiglu": "gated-silu"}
_HEAD, _SHARED = "lm_head.weight", "model.shared.weight"
_IRRELEVANT = ("architecture", "preset", "dropout", "attention_dropout", "activation_dropout", "layer_drop")


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


def write(exported: ExportedModel, folder: Path) -> Mapping[str, Any]:
    """Write config.json, generation_config.json, model.safetensors and the tokenizer; see ExportFormat."""
    settings, special = exported.transformer(PROGRAM), exported.tokenizer.special_tokens
    config, found, stored = _representation(exported, settings)
    tensors = dict(_tensors(exported, found, stored))
    files.write_json(folder / CONFIG, config)
    files.write_json(folder / "generation_config.json", _generation_config(exported))
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    write_tensor_stream(folder / WEIGHTS, shapes, tensors.items(), {"format": "pt"})
    usage = write_tokenizers(exported, folder, config.get("max_position_embeddings"))
    return {**usage, "class_name": config["architectures"][0], "eos": special.eos}


@dataclass
class _Stored:
    """The tensors that tell an import how a file is to be read."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def read(self, name: str) -> Tensor:
        return self.tensors[name] if name in self.tensors else torch.zeros(1)

    def add(self, name: str, tensor: Tensor) -> None:
        self.tensors[name], self.shapes = tensor, {**self.shapes, name: tuple(tensor.shape)}


def _representation(
    exported: ExportedModel, settings: TransformerSettings
) -> tuple[dict[str, Any], Architecture, _Stored]:
    """Return the configuration of the class that computes the model, and where its parameters are.

    Raises:
        ModelError: There is none. The message names the settings that differ from those of the most similar class.
    """
    misfits = dict[str, list[str]]()
    for family, cls in _CLASSES.items():
        wanted = _normalized(settings)
        if wanted["tied_embeddings"] == "decoder" and family != "marian":
            wanted["tied_embeddings"] = "none"  # the output layer is a copy
        config = _config(family, cls, exported, settings, wanted["tied_embeddings"])
        stored = _stored(cls, exported, settings, wanted)
        try:
            found = architecture(Config(Path(CONFIG), config), stored)
        except ModelError as error:
            misfits[family] = [str(error).removeprefix(f"{CONFIG}: ")]
            continue
        represented = _normalized(found.settings)
        differences = [key for key in wanted if wanted[key] != represented.get(key)]
        misfits[family] = [f"model.{key}: {wanted[key]}, not {represented.get(key)}" for key in differences]
        misfits[family] += _special_misfits(family, cls, exported, wanted)
        if not misfits[family]:
            return config, found, stored
    nearest = min(misfits, key=lambda family: len(misfits[family]))
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


def _normalized(settings: TransformerSettings) -> dict[str, Any]:
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
        "decoder_start_token_id": special.decoder_start,
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


def _stored(cls: _Class, exported: ExportedModel, settings: TransformerSettings, wanted: Mapping[str, Any]) -> _Stored:
    stored, size = _Stored(Path(WEIGHTS)), exported.tokenizer.target_size
    if wanted["tied_embeddings"] in ("none", "input"):
        stored.add(_HEAD, torch.ones(1))
        stored.add(_SHARED, torch.zeros(1))
    if cls.has_bias:
        stored.add("final_logits_bias", torch.full((1, size), float(wanted["output_bias"])))
    if cls.has_table and not cls.is_t5 and isinstance(settings.positions, SinusoidalPositions):
        positions = torch.arange(_num_positions(exported, settings))
        for side in ("encoder", "decoder"):
            table = sinusoidal_encoding(positions, settings.width, settings.positions)
            stored.add(f"model.{side}.embed_positions.weight", table)
    return stored


def _tensors(exported: ExportedModel, found: Architecture, stored: _Stored) -> Iterator[tuple[str, Tensor]]:
    """Yield all tensors of the file. Each parameter is used, and split into the tensors that an import would join."""
    parameters, written = dict(exported.model.named_parameters()), dict[str, Tensor]()
    if "output.projection.weight" not in parameters and _HEAD in stored.shapes:
        parameters["output.projection.weight"] = parameters["embeddings.target.weight"]
    for name, parameter in parameters.items():
        if name not in found.parameters:
            raise ModelError(f"{PROGRAM} does not support the model's parameter {name}")
        parts, tensor = found.parameters[name], parameter.detach().float().cpu()
        for part, piece in zip(parts, tensor.chunk(len(parts)), strict=True):
            written[part.name] = _as_stored(part, piece)
    for name, tensor in stored.tensors.items():
        if name not in written and name not in (_HEAD, _SHARED):
            written[name] = tensor * (name != "final_logits_bias")
    if _HEAD in stored.shapes or _SHARED not in written:
        copies = {name: owner for name, owner in found.redundant.items() if isinstance(owner, str)}
        written |= {name: written[owner] for name, owner in copies.items() if name.startswith("model.")}
    yield from written.items()


def _as_stored(part: Part, tensor: Tensor) -> Tensor:
    """Return the tensor of a file that an import changes into this one."""
    if part.scale != 1:
        tensor = _divided(tensor, part.scale)
    if part.rows[0]:  # rows before the first are not used
        tensor = torch.cat([tensor.new_zeros(part.rows[0], *tensor.shape[1:]), tensor])
    if part.name == "final_logits_bias":
        return tensor[None]
    return tensor[0] if "relative_attention_bias" in part.name else tensor


def _divided(tensor: Tensor, scale: float) -> Tensor:
    """Return the values that, multiplied by `scale`, are those of the tensor, or nearest to them."""
    quotient = tensor / scale
    for limit in (torch.inf, -torch.inf):
        neighbour = torch.nextafter(quotient, torch.full_like(quotient, limit))
        quotient = torch.where((quotient * scale != tensor) & (neighbour * scale == tensor), neighbour, quotient)
    return quotient


def _generation_config(exported: ExportedModel) -> dict[str, Any]:
    special, decoding = exported.tokenizer.special_tokens, exported.decoding
    if len(exported.target_prefix) > 1:
        raise ModelError(f"{PROGRAM} forces only one token before a translation, not {len(exported.target_prefix)}")
    config: dict[str, Any] = {
        "pad_token_id": special.pad,
        "bos_token_id": special.bos,
        "eos_token_id": special.eos,
        "decoder_start_token_id": special.decoder_start,
        # Lengths include decoder_start and eos. Without a forced eos, one more token would take its place.
        "max_length": exported.max_length + len(exported.target_prefix) + 2,
        "forced_eos_token_id": special.eos,
        "num_beams": decoding.beam_size,
        "suppress_tokens": [token for token in exported.suppressed if token not in exported.target_prefix],
    }
    if decoding.beam_size > 1:
        config |= {"length_penalty": decoding.length_penalty, "early_stopping": decoding.early_stopping}
    if decoding.no_repeat_ngram_size is not None:
        config["no_repeat_ngram_size"] = decoding.no_repeat_ngram_size
    if exported.target_prefix:
        config["forced_bos_token_id"] = exported.target_prefix[0]
    return config


class HuggingFaceProgram:
    """An export, loaded by transformers."""

    def __init__(self, exported: ExportedModel, folder: Path) -> None:
        import transformers

        transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
        self._source = transformers.AutoTokenizer.from_pretrained(folder)
        target = folder / TARGET_TOKENIZER
        self._target = transformers.AutoTokenizer.from_pretrained(target) if target.is_dir() else self._source
        self._exported = exported

    def encode_source(self, lines: list[str]) -> list[list[int]]:
        """See TargetProgram."""
        exported = self._exported
        rows: list[list[int]] = self._source(lines).input_ids
        return [row[len(exported.source_prefix) : len(row) - exported.source_eos] for row in rows]

    def decode_target(self, rows: list[list[int]]) -> list[str]:
        """See TargetProgram."""
        texts: list[str] = self._target.batch_decode(rows, skip_special_tokens=True)
        return texts

    @torch.inference_mode()
    def score(self, sources: list[list[int]], targets: list[list[int]]) -> list[list[float]]:
        """See TargetProgram."""
        exported, found = self._exported, []
        special = exported.tokenizer.special_tokens
        eos = [special.eos] if exported.source_eos else []
        for source, target in zip(sources, targets, strict=True):
            row = torch.tensor([[*exported.source_prefix, *source, *eos]])
            before = [special.decoder_start, *exported.target_prefix]
            logits = self._model(input_ids=row, decoder_input_ids=torch.tensor([[*before, *target]])).logits[0]
            log_probs = logits[len(before) - 1 :].log_softmax(-1)
            found.append(log_probs[range(len(target) + 1), [*target, special.eos]].tolist())
        return found
