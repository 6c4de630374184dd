"""Export to a folder of Hugging Face transformers (Wolf et al. 2020)."""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nmt_cli import files
from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting.huggingface import marian_tokenizer
from nmt_cli.interop.exporting.huggingface.representation import (
    HEAD,
    PROGRAM,
    SHARED,
    StoredTensors,
    find_representation,
)
from nmt_cli.interop.exporting.huggingface.tokenizer import write_tokenizers
from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.interop.exporting.verification import MAX_DIFFERENCE
from nmt_cli.interop.foreign import Part
from nmt_cli.interop.huggingface.architecture import Architecture
from nmt_cli.interop.huggingface.tokenizer_json import TARGET_TOKENIZER
from nmt_cli.interop.marian_parameters import LAYER_NORM_EPSILON
from nmt_cli.models.transformer.layers import norm_epsilon
from nmt_cli.runs.checkpoints import write_tensor_stream
from nmt_cli.runs.directory import CONFIG, WEIGHTS

_MARIAN_DIFFERENCE = 1e-3
"""Of log-probabilities of models with Marian's epsilon, 1e-9, for which transformers uses 1e-5."""


def write(exported: ExportedModel, folder: Path) -> Mapping[str, Any]:
    """Write config.json, generation_config.json, model.safetensors and the tokenizer; see ExportFormat."""
    settings, special = exported.transformer(PROGRAM), exported.tokenizer.special_tokens
    config, found, stored = find_representation(exported, settings)
    tensors = dict(_tensors(exported, found, stored))
    files.write_json(folder / CONFIG, config)
    files.write_json(folder / "generation_config.json", generation_config(exported))
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    write_tensor_stream(folder / WEIGHTS, shapes, tensors.items(), {"format": "pt"})
    if config["model_type"] == "marian" and marian_tokenizer.can_represent(exported):
        usage = marian_tokenizer.write_marian_tokenizer(exported, folder, config["max_position_embeddings"])
    else:
        usage = write_tokenizers(exported, folder, config.get("max_position_embeddings"))
    bound = _MARIAN_DIFFERENCE if norm_epsilon(settings) == LAYER_NORM_EPSILON else MAX_DIFFERENCE
    return {**usage, "class_name": config["architectures"][0], "eos": special.eos, "max_difference": bound}


def _tensors(exported: ExportedModel, found: Architecture, stored: StoredTensors) -> Iterator[tuple[str, Tensor]]:
    """Yield all tensors of the file. Each parameter is used, and split into the tensors that an import would join."""
    parameters, written = exported.parameters(), dict[str, Tensor]()
    if "output.projection.weight" not in parameters and HEAD in stored.shapes:
        parameters["output.projection.weight"] = parameters["embeddings.target.weight"]
    for name, parameter in parameters.items():
        if name not in found.parameters:
            raise ModelError(f"{PROGRAM} does not support the model's parameter {name}")
        parts, tensor = found.parameters[name], parameter.detach().float().cpu()
        for part, piece in zip(parts, tensor.chunk(len(parts)), strict=True):
            written[part.name] = _as_stored(part, piece)
    for name, tensor in stored.tensors.items():
        if name not in written and name not in (HEAD, SHARED):
            written[name] = tensor * (name != "final_logits_bias")
    if HEAD in stored.shapes or SHARED not in written:
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


def generation_config(exported: ExportedModel) -> dict[str, Any]:
    """Return the contents of generation_config.json."""
    special, decoding = exported.tokenizer.special_tokens, exported.decoding
    if len(exported.target_prefix) > 1:
        raise ModelError(f"{PROGRAM} forces only one token before a translation, not {len(exported.target_prefix)}")
    config: dict[str, Any] = {
        "pad_token_id": special.pad,
        "bos_token_id": special.bos,
        "eos_token_id": special.eos,
        "decoder_start_token_id": exported.prompt[0],
        # Lengths include decoder_start and, at most, eos. Without a forced eos, one more token would take its place.
        "max_length": exported.max_length + len(exported.target_prefix) + 2,
        "min_length": decoding.min_length + len(exported.target_prefix) + 1,
        "forced_eos_token_id": special.eos,
        "num_beams": decoding.beam_size,
        "suppress_tokens": [token for token in exported.suppressed if token not in exported.target_prefix],
    }
    if decoding.beam_size > 1:
        config |= {"length_penalty": decoding.length_penalty, "early_stopping": decoding.early_stopping}
    if decoding.no_repeat_ngram_size is not None:
        config["no_repeat_ngram_size"] = decoding.no_repeat_ngram_size
    if exported.target_prefix:
        # Suppressed tokens are not even forced, but bad words are.
        config["forced_bos_token_id"] = exported.target_prefix[0]
        config["bad_words_ids"] = [[exported.target_prefix[0]]]
    return config


class HuggingFaceProgram:
    """An export, loaded by transformers."""

    def __init__(self, exported: ExportedModel, folder: Path) -> None:
        import transformers

        transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
        with warnings.catch_warnings(action="ignore"):  # MarianTokenizer recommends a package that it does not use
            self._source = transformers.AutoTokenizer.from_pretrained(folder)
        target = folder / TARGET_TOKENIZER
        self._target = transformers.AutoTokenizer.from_pretrained(target) if target.is_dir() else self._source
        self._exported = exported
        self._is_marian = (folder / marian_tokenizer.FILE).is_file()

    def encode_source(self, lines: list[str]) -> list[list[int]]:
        """See TargetProgram."""
        exported = self._exported
        if self._is_marian:
            lines = [marian_tokenizer.text_of_source(exported, line) for line in lines]
        rows: list[list[int]] = self._source(lines).input_ids
        return [row[len(exported.source_prefix) : len(row) - len(exported.after_source)] for row in rows]

    def decode_target(self, rows: list[list[int]]) -> list[str]:
        """See TargetProgram."""
        options = {"use_source_tokenizer": False} if self._is_marian else {}
        texts: list[str] = self._target.batch_decode(rows, skip_special_tokens=True, **options)
        return texts

    @torch.inference_mode()
    def score(self, sources: list[list[int]], targets: list[list[int]]) -> list[list[float]]:
        """See TargetProgram."""
        exported, found = self._exported, []
        special = exported.tokenizer.special_tokens
        for source, target in zip(sources, targets, strict=True):
            row = torch.tensor([[*exported.source_prefix, *source, *exported.after_source]])
            before = exported.prompt
            logits = self._model(input_ids=row, decoder_input_ids=torch.tensor([[*before, *target]])).logits[0]
            log_probs = logits[len(before) - 1 :].log_softmax(-1)
            found.append(log_probs[range(len(target) + 1), [*target, special.eos]].tolist())
        return found
