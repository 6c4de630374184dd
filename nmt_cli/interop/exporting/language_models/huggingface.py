"""Export of a language model to a folder of Hugging Face transformers: GPT-2, or Llama."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nmt_cli import files
from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting.huggingface.representation import HEAD, PROGRAM, StoredTensors, normalized
from nmt_cli.interop.exporting.huggingface.tokenizer import write_tokenizer_json
from nmt_cli.interop.exporting.language_models.generation import ProgramSettings, samples
from nmt_cli.interop.exporting.language_models.text import DocumentTokenizer, settings_of, write_normalization
from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.interop.huggingface import architecture
from nmt_cli.interop.huggingface.architecture import Architecture, Config
from nmt_cli.models.positions import sinusoidal_encoding
from nmt_cli.models.transformer.layers import norm_epsilon
from nmt_cli.recipe.model import DecoderOnlySettings, LearnedPositions, RotaryPositions, SinusoidalPositions
from nmt_cli.runs.checkpoints import write_tensor_stream
from nmt_cli.runs.directory import CONFIG, WEIGHTS

_EMBEDDINGS, _NORM, _POSITIONS = "embeddings.target.weight", "decoder_norm", "positions.vectors.weight"
_GPT2_ACTIVATIONS = {"gelu_tanh": "gelu_new", "gelu": "gelu", "relu": "relu"}
_LLAMA_ACTIVATIONS = {"swiglu": "silu", "geglu": "gelu", "geglu_tanh": "gelu_pytorch_tanh"}
SETTINGS = ProgramSettings(
    {
        "beam_size": "num_beams",
        "length_penalty": "length_penalty",
        "early_stopping": "early_stopping",
        "min_length": "min_new_tokens",
        "no_repeat_ngram_size": "no_repeat_ngram_size",
        "temperature": "temperature",
        "top_k": "top_k",
        "top_p": "top_p",
        "min_p": "min_p",
        "epsilon": "epsilon_cutoff",
    }
)
"""Keys of generation_config.json."""


def write(exported: ExportedModel, folder: Path) -> Mapping[str, Any]:
    """Write config.json, generation_config.json, model.safetensors and the tokenizer; see ExportFormat."""
    settings, parameters = _foldable(exported)
    config, found = _representation(exported, settings)
    tensors = dict(sorted(_tensors(settings, found, parameters)))
    files.write_json(folder / CONFIG, config)
    files.write_json(folder / "generation_config.json", _generation_config(exported))
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    write_tensor_stream(folder / WEIGHTS, shapes, tensors.items(), {"format": "pt"})
    start = (exported.tokenizer.special_tokens.decoder_start,)
    write_tokenizer_json(exported.tokenizer.target, folder, None, exported.longest_sentence, start, ())
    return {"class_name": config["architectures"][0], **write_normalization(exported, folder)}


def _foldable(exported: ExportedModel) -> tuple[DecoderOnlySettings, dict[str, Tensor]]:
    """Return equivalent settings and parameters: embeddings that are not scaled, and sinusoids as learned positions."""
    settings, parameters = settings_of(exported, PROGRAM), dict[str, Tensor](exported.model.named_parameters())
    changes = dict[str, Any]()
    if settings.scale_embeddings:
        scale = settings.width**0.5
        parameters[_EMBEDDINGS] = parameters[_EMBEDDINGS].detach() * scale
        if settings.tied_embeddings == "all":
            norm = {name: each.detach() / scale for name, each in parameters.items() if name.startswith(f"{_NORM}.")}
            parameters |= norm
        changes["scale_embeddings"] = False
    if isinstance(settings.positions, SinusoidalPositions):
        rows = torch.arange(exported.longest_sentence)
        parameters[_POSITIONS] = sinusoidal_encoding(rows, settings.width, settings.positions)
        changes["positions"] = LearnedPositions(type="learned", length=len(rows))
    return settings.model_copy(update=changes), parameters


def _representation(exported: ExportedModel, settings: DecoderOnlySettings) -> tuple[dict[str, Any], Architecture]:
    """Return the configuration of the class that computes a model; ModelError names the settings that differ."""
    is_llama = settings.positions.type == "rotary" or settings.norm.type == "rms"
    if settings.activation not in (known := _LLAMA_ACTIVATIONS if is_llama else _GPT2_ACTIVATIONS):
        name = "Llama" if is_llama else "GPT-2"
        raise ModelError(f"model.activation: {settings.activation} is not one of {name}, which has {', '.join(known)}")
    config = _common(exported, settings) | (_llama(exported, settings) if is_llama else _gpt2(settings))
    stored, ones = StoredTensors(Path(WEIGHTS)), torch.ones(1)
    stored.add("model.embed_tokens.weight" if is_llama else "transformer.wte.weight", ones)
    if settings.tied_embeddings != "all":
        stored.add(HEAD, ones)
    found = architecture(Config(Path(CONFIG), config), stored)
    assert isinstance(found.settings, DecoderOnlySettings), "the classes are language models"
    wanted, represented = normalized(settings), normalized(found.settings)
    if differences := [key for key in wanted if wanted[key] != represented.get(key)]:
        listed = "; ".join(f"model.{key}: {wanted[key]}, not {represented.get(key)}" for key in differences)
        name = config["architectures"][0]
        raise ModelError(
            f"no class of {PROGRAM} computes this model; the most similar one, {name}, differs in {listed}"
        )
    return config, found


def _common(exported: ExportedModel, settings: DecoderOnlySettings) -> dict[str, Any]:
    special = exported.tokenizer.special_tokens
    return {
        "dtype": "float32",
        "vocab_size": exported.tokenizer.target_size,
        "pad_token_id": special.pad,
        "bos_token_id": special.decoder_start,
        "eos_token_id": special.eos,
        "tie_word_embeddings": settings.tied_embeddings == "all",
    }


def _gpt2(settings: DecoderOnlySettings) -> dict[str, Any]:
    positions = settings.positions
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "n_embd": settings.width,
        "n_inner": settings.feed_forward,
        "n_layer": settings.layers,
        "n_head": settings.heads,
        "n_positions": positions.length if isinstance(positions, LearnedPositions) else 1,
        "activation_function": _GPT2_ACTIVATIONS[settings.activation],
        "layer_norm_epsilon": norm_epsilon(settings),
        "embd_pdrop": settings.dropout,
        "resid_pdrop": settings.dropout,
        "attn_pdrop": settings.attention_dropout,
    }


def _llama(exported: ExportedModel, settings: DecoderOnlySettings) -> dict[str, Any]:
    base = settings.positions.base if isinstance(settings.positions, RotaryPositions) else 10_000.0
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": settings.width,
        "intermediate_size": settings.feed_forward,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.heads,
        "num_key_value_heads": settings.key_value_heads or settings.heads,
        "head_dim": settings.attention_head_width,
        "max_position_embeddings": exported.longest_sentence,
        "hidden_act": _LLAMA_ACTIVATIONS[settings.activation],
        "rms_norm_eps": norm_epsilon(settings),
        "rope_theta": base,
        "rope_parameters": {"rope_type": "default", "rope_theta": base},
        "attention_bias": settings.bias,
        "mlp_bias": settings.bias,
        "attention_dropout": settings.attention_dropout,
    }


def _tensors(
    settings: DecoderOnlySettings, found: Architecture, parameters: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """Yield all tensors of the file; each parameter is used."""
    heads, groups = settings.heads, settings.key_value_heads or settings.heads
    for name, parameter in parameters.items():
        if name not in found.parameters:
            raise ModelError(f"{PROGRAM} does not support the model's parameter {name}")
        parts, tensor = found.parameters[name], parameter.detach().float().cpu()
        sizes = [len(tensor) // len(parts)] * len(parts)
        if len(parts) == 3:  # query, key and value
            sizes = [each * settings.attention_head_width for each in (heads, groups, groups)]
        for part, piece in zip(parts, torch.split(tensor, sizes), strict=True):
            yield part.name, (piece.t() if part.is_transposed else piece).contiguous()


def _generation_config(exported: ExportedModel) -> dict[str, Any]:
    special = exported.tokenizer.special_tokens
    config: dict[str, Any] = {
        "pad_token_id": special.pad,
        "bos_token_id": special.decoder_start,
        "eos_token_id": special.eos,
        "max_new_tokens": exported.max_length,
        "suppress_tokens": [token for token in exported.suppressed if token != special.eos],
        "do_sample": samples(exported),
    }
    return config | SETTINGS.translated(exported)


class HuggingFaceGenerator:
    """An exported language model, loaded by transformers."""

    def __init__(self, exported: ExportedModel, folder: Path) -> None:
        import transformers

        transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder)
        self._model = model.eval()
        self._text, self._exported = DocumentTokenizer(exported, folder), exported

    def encode(self, documents: list[str]) -> list[list[int]]:
        """See LanguageProgram."""
        return self._text.encode(documents)

    def decode(self, rows: list[list[int]]) -> list[str]:
        """See LanguageProgram."""
        return self._text.decode(rows)

    @torch.inference_mode()
    def score(self, rows: list[list[int]]) -> list[list[float]]:
        """See LanguageProgram."""
        special, found = self._exported.tokenizer.special_tokens, list[list[float]]()
        for row in rows:
            logits = self._model(input_ids=torch.tensor([[special.decoder_start, *row]])).logits[0]
            found.append(logits.log_softmax(-1)[range(len(row) + 1), [*row, special.eos]].tolist())
        return found
