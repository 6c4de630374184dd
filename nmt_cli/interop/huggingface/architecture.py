"""Configurations of Hugging Face models, and what they become in nmt."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from nmt_cli.errors import ModelError
from nmt_cli.interop.foreign import Part, TensorSource, read_object
from nmt_cli.recipe.model import DecoderOnlySettings, TransformerSettings
from nmt_cli.text.special_tokens import SpecialTokens

_T = TypeVar("_T")


class Config:
    """A config.json, whose keys are read by type."""

    def __init__(self, path: Path, values: Mapping[str, Any] | None = None) -> None:
        """Use the values of the file at `path`, or these."""
        self.path, self.values = path, read_object(path) if values is None else values

    def get(self, key: str, kind: type[_T], default: _T | None = None) -> _T:
        """Return a value; ModelError if it is missing without a default, or of another type."""
        value = self.values.get(key)
        value = default if value is None else value
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            found = "is missing" if value is None else f"is {value!r}"
            raise ModelError(f"{self.path}: {key}: {found}, but must be of type {kind.__name__}")
        return value

    def given(self, key: str, kind: type[_T], default: _T | None) -> _T | None:
        """Return a value that may be null, and `default` if it is missing; ModelError if it is of another type."""
        value = self.values.get(key, default)
        return None if value is None else self.get(key, kind, default)

    def choice(self, key: str, known: Mapping[str, str], default: str | None = None) -> str:
        """Return the nmt name of a value; ModelError if it has none."""
        value = self.get(key, str, default)
        if value not in known:
            raise ModelError(f"{self.path}: {key}: {value} is not supported; supported are {', '.join(known)}")
        return known[value]

    def of_both_sides(self, name: str, kind: type[_T]) -> _T:
        """Return a value that encoder and decoder must have in common."""
        encoder, decoder = (self.get(f"{side}_{name}", kind) for side in ("encoder", "decoder"))
        if encoder != decoder:
            raise ModelError(f"{self.path}: decoder_{name}: {decoder} is not supported, as encoder_{name} is {encoder}")
        return encoder


@dataclass(frozen=True)
class Architecture:
    """The settings of a model and where its parameters are; see ForeignModel."""

    settings: TransformerSettings | DecoderOnlySettings
    parameters: Mapping[str, Sequence[Part]]
    redundant: Mapping[str, str | Tensor | None]


def is_tied(config: Config, tensors: TensorSource, head: str, default: bool) -> bool:
    """Return whether the output layer has the weights of the embeddings; ModelError if its own are missing.

    Args:
        head: Name of the weights of the output layer.
        default: Whether they are tied if the configuration does not say so.
    """
    tied = config.get("tie_word_embeddings", bool, default)
    if not tied and head not in tensors.shapes:
        raise ModelError(f"{tensors.path}: tensor {head} is missing, although tie_word_embeddings is false")
    return tied


def layer_parts(
    side: str, prefix: str, count: int, names: Mapping[str, tuple[str, ...]], infix: str = ""
) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each module of each layer in nmt, and those of its modules in transformers."""
    for layer in range(count):
        for ours, theirs in names.items():
            if side == "decoder" or not ours.startswith("cross_attention"):
                yield f"{side}.{layer}.{ours}", [f"{prefix}.{layer}.{infix}{name}" for name in theirs]


def vocabulary_size(folder: Path, config: Mapping[str, Any], key: str) -> int:
    """Return the size of a side's vocabulary, by default that of both sides; ModelError if it is not valid."""
    size = config.get(key, config.get("vocab_size"))
    if not isinstance(size, int) or not 1 <= size <= 2**22:
        raise ModelError(f"{folder / 'config.json'}: {key}: must be the number of vocabulary entries, not {size!r}")
    return size


def special_tokens(folder: Path, config: Mapping[str, Any], unk: int | None) -> SpecialTokens:
    """Return the special tokens; a model without a start token of its own starts with pad."""
    pad, eos = (token_id(folder, config, name) for name in ("pad_token_id", "eos_token_id"))
    start = pad if config.get("decoder_start_token_id") is None else token_id(folder, config, "decoder_start_token_id")
    return SpecialTokens(pad, token_id(folder, {**config, "<unk>": unk}, "<unk>"), start, eos, start)


def token_id(folder: Path, config: Mapping[str, Any], name: str) -> int:
    """Return the id of a token that a configuration names; ModelError if it is not valid."""
    token = config.get(name)
    if type(token) is not int or not 0 <= token < vocabulary_size(folder, config, "vocab_size"):
        raise ModelError(f"{folder}: {name}: {token!r} is not an entry of the vocabulary")
    return token
