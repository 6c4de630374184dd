"""Import of encoder-decoders and language models in the format of Hugging Face transformers (Wolf et al. 2020)."""

from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from nmt_cli.errors import ModelError
from nmt_cli.interop.foreign import ForeignModel, SafetensorsSource, TensorSource, read_object
from nmt_cli.interop.huggingface import bart, decoder_only, t5
from nmt_cli.interop.huggingface.architecture import Architecture, Config
from nmt_cli.interop.huggingface.generation import decoding_settings, generation_settings
from nmt_cli.interop.huggingface.tokenizers import load_tokenizer
from nmt_cli.interop.huggingface.torch_weights import converted_to_safetensors
from nmt_cli.recipe.model import DecoderOnlySettings

CONFIG = "config.json"

_FAMILIES: dict[str, Callable[[Config, TensorSource], Architecture]] = {
    "marian": bart.marian,
    "pegasus": bart.pegasus,
    "bart": bart.bart,
    "mbart": bart.mbart,
    "m2m_100": bart.m2m_100,
    "t5": t5.t5,
    "mt5": t5.t5,
    "umt5": t5.umt5,
    **decoder_only.FAMILIES,
}
"""By `model_type`."""
_TRANSLATION = ("marian", "mbart", "m2m_100")
"""Families whose lines can be split into sentences; T5 begins lines with the name of the task."""


def is_huggingface(folder: Path) -> bool:
    """Return whether a folder contains a model of this format."""
    return (folder / CONFIG).is_file() and "model_type" in read_object(folder / CONFIG)


def load(folder: Path, scratch: Path) -> ForeignModel:
    """Describe the model in a folder.

    Args:
        scratch: An empty folder for converted files.

    Raises:
        ModelError: A file is missing or damaged, or something cannot be represented.
    """
    config = Config(folder / CONFIG)
    read = load_tokenizer(folder, config.values)
    tensors, warnings = _tensors(folder, scratch)
    found = architecture(config, tensors)
    target = read.tokenizer.target
    not_text = {*target.special_tokens.ids, *target.tags.values(), *target.without_piece, *target.byte_values()}
    if isinstance(found.settings, DecoderOnlySettings):
        window = decoder_only.max_positions(config)
        decoding, ignored = generation_settings(folder, config.values, window, not_text)
        return ForeignModel(
            f"Hugging Face {config.values['model_type']}",
            found.settings,
            found.parameters,
            tensors,
            read.tokenizer,
            window,
            found.redundant,
            decoding=decoding,
            warnings=[*warnings, *ignored],
        )
    begins_with_start = not read.token_order["target_language_first"]
    num_prompt_tokens = int(begins_with_start) + int(read.language_tokens is not None or read.token_order["bos"])
    decoding, ignored = decoding_settings(folder, config.values, num_prompt_tokens, not_text)
    if config.values["model_type"] not in _TRANSLATION:
        decoding["split_sentences_above"] = None
    return ForeignModel(
        f"Hugging Face {config.values['model_type']}",
        found.settings,
        found.parameters,
        tensors,
        read.tokenizer,
        # Two positions are for the tokens that begin and end a sentence.
        config.get("max_position_embeddings", int, config.get("n_positions", int, 512)) - 2,
        found.redundant,
        read.languages,
        decoding,
        [*warnings, *ignored],
        read.language_tokens,
        read.source_eos,
        read.token_order,
    )


def architecture(config: Config, tensors: TensorSource) -> Architecture:
    """Translate a configuration; ModelError if nmt cannot represent it."""
    family = config.get("model_type", str)
    if family not in _FAMILIES:
        known = ", ".join(_FAMILIES)
        raise ModelError(f"{config.path}: model_type: {family} is not supported; supported are {known}")
    if config.values.get("is_encoder_decoder") is False and family not in decoder_only.FAMILIES:
        raise ModelError(f"{config.path}: is_encoder_decoder: false is not supported for {family}")
    try:
        return _FAMILIES[family](config, tensors)
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelError(f"{config.path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _tensors(folder: Path, scratch: Path) -> tuple[SafetensorsSource, list[str]]:
    """Return the tensors of a folder, and warnings."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        paths, index = [folder / name], folder / f"{name}.index.json"
        if index.is_file():
            names = read_object(index).get("weight_map")
            if not isinstance(names, dict) or not all(isinstance(file, str) for file in names.values()):
                raise ModelError(f"{index}: weight_map: must map tensors to files")
            paths = [folder / Path(file).name for file in sorted(set(names.values()))]
        if not paths[0].is_file():
            continue
        if name == "model.safetensors":
            return SafetensorsSource(paths), []
        converted = [converted_to_safetensors(path, scratch / f"{path.name}.safetensors") for path in paths]
        return SafetensorsSource(converted), [f"{paths[0]}: is a pickle; prefer a model in safetensors"]
    raise ModelError(f"{folder}: has neither model.safetensors nor pytorch_model.bin")
