"""A model to be exported, and what an export format consists of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nmt_cli.data.shortlist import Shortlist
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import ModelError
from nmt_cli.interop.marian_parameters import PAD_LOGIT
from nmt_cli.models.contract import Model
from nmt_cli.recipe.decoding import BeamSettings, StepwiseSettings
from nmt_cli.recipe.model import TransformerSettings

_TARGET = "embeddings.target.weight"


@dataclass(frozen=True)
class ExportedModel:
    """A model with everything that a format may keep of it."""

    model: Model
    tokenizer: Tokenizer
    languages: tuple[str, str]
    """Of source and target."""
    decoding: BeamSettings
    """Defaults of the export; `max_length` is set."""
    longest_sentence: int
    """In subwords."""
    source_prefix: tuple[int, ...] = ()
    """Tokens before each source: tags, or the token of the source language."""
    target_prefix: tuple[int, ...] = ()
    """Tokens of the decoder's input after the first: that of the target language."""
    language_tokens: Sequence[str] | None = None
    """Languages with such tokens, which are tags of the tokenizer."""
    suppressed: Sequence[int] = ()
    """Target tokens that are never generated, special tokens included."""
    source_eos: bool = True
    """Whether sources end with eos."""
    source_suffix: tuple[int, ...] = ()
    """Tokens after that eos: that of the source language."""
    decoder_start: int | None = None
    """First token of the decoder's input: that of the target language. Default: decoder_start of the tokenizer."""
    held_out: tuple[Sequence[str], Sequence[str]] | None = None
    """Parallel lines, by which a format may measure what it quantises."""
    shortlist: Shortlist | None = None
    """The target tokens that translations of source tokens may contain."""
    licence: str | None = None
    """Licence of an imported model, as its model card names it."""
    generation: StepwiseSettings | None = None
    """How a language model generates text: the section `decoding`, with any strategy. Default: `decoding`."""
    documents: Path | None = None
    """Folder with the licence and the model card of an imported model."""

    @property
    def after_source(self) -> list[int]:
        """Tokens after each source, eos included."""
        return [*([self.tokenizer.special_tokens.eos] if self.source_eos else []), *self.source_suffix]

    @property
    def prompt(self) -> list[int]:
        """Tokens of the decoder's input before each translation."""
        start = self.tokenizer.special_tokens.decoder_start if self.decoder_start is None else self.decoder_start
        return [start, *self.target_prefix]

    def require_ordinary_ends(self, program: str) -> None:
        """Raise ModelError if a token of a language follows the source or takes the place of decoder_start."""
        if self.source_suffix or self.decoder_start is not None:
            raise ModelError(
                f"a token of a language after the source, or as decoder_start, is not supported by {program}"
            )

    def require_flat_encoder(self, program: str) -> None:
        """Raise ModelError if source tokens do not attend to the whole source."""
        settings = self.model.export_settings()
        if settings is not None and settings.encoder.type != "flat":
            raise ModelError(f"model.encoder: {settings.encoder.type} is not supported by {program}; it needs flat")

    @property
    def max_length(self) -> int:
        """Maximum length of a translation in subwords."""
        assert self.decoding.max_length is not None
        return self.decoding.max_length

    def transformer(self, program: str, *, is_marian: bool = False) -> TransformerSettings:
        """Return the settings of the Transformer; ModelError if `program` cannot compute this model."""
        settings = self.model.export_settings()
        if settings is None:
            raise ModelError(f"model.architecture: is not supported by {program}; it needs a transformer")
        self.require_flat_encoder(program)
        if is_marian:
            return settings
        if settings.decoder_self_attention == "ssru":
            raise ModelError(f"model.decoder_self_attention: ssru is not supported by {program}, only by Marian")
        start = self.model.vocabulary.special_tokens.decoder_start
        if settings.decoder_start == "zeros" and self.parameters()[_TARGET][start].any():
            raise ModelError(f"model.decoder_start: zeros is not supported by {program}, only by Marian")
        return settings

    def parameters(self) -> dict[str, Tensor]:
        """Return the parameters by name.

        With `decoder_start: zeros`, the vector of decoder_start is zero, as the model computes it, if that does not
        change its probability: the output layer is another, or its bias excludes the token.
        """
        parameters: dict[str, Tensor] = dict(self.model.named_parameters())
        settings = self.model.export_settings()
        if settings is None or settings.decoder_start != "zeros":
            return parameters
        start, bias = self.model.vocabulary.special_tokens.decoder_start, parameters.get("output.bias")
        is_excluded = bias is not None and bool(bias[start] < PAD_LOGIT / 2)
        if settings.tied_embeddings in ("none", "input") or is_excluded:
            vectors = parameters[_TARGET].detach().clone()
            vectors[start] = 0
            parameters[_TARGET] = vectors
        return parameters


class TargetProgram(Protocol):
    """The program that an export is for, with the export loaded."""

    def encode_source(self, lines: list[str]) -> list[list[int]]:
        """Return the ids of each line in nmt's vocabulary, without prefix and special tokens."""

    def decode_target(self, rows: list[list[int]]) -> list[str]:
        """Return the text of each row of ids."""

    def score(self, sources: list[list[int]], targets: list[list[int]]) -> list[list[float]] | None:
        """Return the natural-log probability of each token of each target, eos included; None if it cannot.

        Sources are without prefix, and both sides without special tokens.
        """


@dataclass(frozen=True)
class ExportFormat:
    """One format: how it is written, and how its program reads it."""

    title: str
    """Name of the format in messages, such as `CTranslate2`."""
    package: str
    """The program's distribution on PyPI."""
    write: Callable[[ExportedModel, Path], Mapping[str, Any]]
    """Writes all files but the model card into an empty folder, and returns the values of the usage template.

    Raises ModelError, with the recipe key, if the format cannot hold something, or a parameter is left over.
    """
    open: Callable[[ExportedModel, Path], TargetProgram]
    """Loads the export into its program. Raises ImportError if that is not installed."""


class UnusedParameters:
    """The parameters of a model that have not been copied into the export yet."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self._parameters, self.names = parameters, set(parameters)

    def __contains__(self, name: str) -> bool:
        return name in self._parameters

    def take(self, name: str) -> npt.NDArray[np.float32]:
        """Return a parameter in fp32. Tied parameters may be taken several times."""
        self.names.discard(name)
        return as_array(self._parameters[name])

    def require_none(self, program: str) -> None:
        """Raise ModelError if any parameter is left."""
        if self.names:
            raise ModelError(f"{program} does not support the model's parameters {', '.join(sorted(self.names))}")


def as_array(tensor: Tensor) -> npt.NDArray[np.float32]:
    """Return a tensor in fp32 as an array."""
    return tensor.detach().float().cpu().contiguous().numpy()
