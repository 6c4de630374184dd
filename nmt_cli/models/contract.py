"""The model contract: everything that trains or searches talks to a model through it.

Shapes, here and everywhere: B sentences, S source and T target positions, k hypotheses of each sentence, D model width,
H heads, V entries of the target vocabulary, E source words of the batch outside it.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nmt_cli.models.batch_tensors import BatchTensors
from nmt_cli.models.kernels import Backend, Linear, prepare_children
from nmt_cli.recipe.model import TransformerSettings
from nmt_cli.text.special_tokens import VocabularySpec as VocabularySpec


@dataclass(frozen=True)
class Capabilities:
    """What a model can do; search and objectives ask here instead of testing its class."""

    search: frozenset[Literal["step", "ctc"]] = frozenset(["step"])
    attention: bool = True
    """Whether `decode` can return cross-attention."""
    source: Literal["required", "optional", "none"] = "required"
    output: Literal["logits", "log_probs"] = "logits"
    """Log-probabilities come from a pointer, an ensemble or a fusion; both have the same log-softmax."""
    blank: int | None = None
    """Id of the CTC blank."""
    copies: bool = False
    """Whether the output may have E columns beyond the vocabulary."""


@dataclass(frozen=True)
class ModelInputs:
    """The source side of a batch, on the model's device."""

    batch_size: int
    ids: Tensor | None = None
    """[B,S], each row ends with eos; None without a source."""
    lengths: Tensor | None = None
    """[B], eos included; None if there is no padding."""
    columns: Mapping[str, Tensor] = field(default_factory=dict)
    """[B,S,…] beside the ids: factors, sentence_ids, segment_ids, copy_ids."""
    extra_ids: int = 0
    """E: extended ids, from V on, which stand for words outside the vocabulary, different ones in each source."""
    prompt: Tensor | None = None
    """[B,P], target tokens before the translation; None: decoder_start."""

    @classmethod
    def from_ids(cls, ids: Tensor, lengths: Tensor | None = None, columns: Mapping[str, Tensor] | None = None) -> Self:
        """Return the inputs of sources with ids [B,S]."""
        return cls(len(ids), ids, lengths, columns or {})


@dataclass(frozen=True)
class DecoderInput:
    """The target side of a batch as the decoder reads it."""

    ids: Tensor | None
    """[B,T], each row begins with decoder_start; ids ≥ V are embedded as unk; None: CTC."""
    positions: Tensor | None = None
    """[B,T], restarting in each segment of a packed row; None: 0 to T-1."""
    segment_ids: Tensor | None = None
    """[B,T]; self-attention stays within a segment."""
    revealed: Tensor | None = None
    """[B,T], the ids that glancing training shows, -1 elsewhere."""

    def required_ids(self, *supported: Literal["positions", "segment_ids"]) -> Tensor:
        """Return the ids; raise NotImplementedError for a field that the model does not support."""
        for name in ("positions", "segment_ids", "revealed"):
            if name not in supported and getattr(self, name) is not None:
                raise NotImplementedError(f"this model's decoder does not support `{name}`")
        if self.ids is None:
            raise NotImplementedError("this model's decoder needs target ids")
        return self.ids

    @property
    def segment_mask(self) -> Tensor | None:
        """The mask of packed rows [B,1,T,T], true for earlier positions of the same segment; None: not packed."""
        if self.segment_ids is None:
            return None
        is_same = self.segment_ids[:, :, None] == self.segment_ids[:, None, :]
        return is_same.tril().unsqueeze(1)


class OutputPositions(NamedTuple):
    """Some of the B·T positions of a decoder output."""

    index: Tensor  # type: ignore[assignment]
    """[n], in B·T."""
    sentence: Tensor
    """[n], in B."""

    @classmethod
    def from_index(cls, index: Tensor, length: int) -> Self:
        """Return the positions `index` of an output with T = `length`."""
        return cls(index, index.div(length, rounding_mode="floor"))

    def split(self, size: int) -> list["OutputPositions"]:
        """Return consecutive parts of at most `size` positions."""
        return list(map(OutputPositions, torch.split(self.index, size), torch.split(self.sentence, size)))


@dataclass(frozen=True)
class SourceColumns(BatchTensors):
    """What an output layer reads of the source."""

    columns: Mapping[str, Tensor]
    """[B,S,…], by name, as in ModelInputs."""
    extra_ids: int = 0
    """E"""


@dataclass(frozen=True)
class DecoderOutput(BatchTensors):
    """What the decoder computes at each position, before the output layer. Models may add fields."""

    hidden_states: Tensor
    """[B,T,D]; in a step of search [B,k,D], one position for each hypothesis."""
    lengths: Tensor | None = None
    """[B], positions that count, where the model decides how many there are (CTC)."""
    cross_attention: Tensor | None = None
    """[B,T,S], if asked for, or needed by the output layer, and the model has attention."""
    source_columns: SourceColumns | None = None
    """If the output layer reads any."""


@dataclass(frozen=True)
class EncoderOutput(BatchTensors):
    """The encoded source. Models add fields."""

    prefix: DecoderOutput | None = field(default=None, kw_only=True)
    """Of models that read the source as a prefix of the target: its output, if Model.predicts_source."""
    source_columns: SourceColumns | None = field(default=None, kw_only=True)
    """If the output layer reads any."""


class Cache(Protocol):
    """What a model keeps of k hypotheses for each of B sentences during search.

    `step` and `select` may overwrite a cache that they are given: go on with the returned one only.
    """

    def select(self, hypothesis_indices: Tensor) -> Self:
        """Return a cache with the given hypotheses, in the given order.

        Args:
            hypothesis_indices: [B',k'], sentence * k + beam index. All entries of a row belong to the same sentence.
                Indices may repeat; hypotheses and sentences that are not listed are dropped. Sentences keep their
                order, so B' = B means that all of them stay in place.
        """
        ...


class VocabularyParameter(NamedTuple):
    """A parameter with one row, or column, per entry of a vocabulary."""

    name: str
    vocabulary: str
    """`source`, `target`, or the name of a source column."""
    dimension: int = 0


class Model(nn.Module, ABC):
    """A translation model. Training uses encode, decode and logits; search uses encode, init_cache and step."""

    recompute = False
    """Whether to keep only the inputs of each layer for the backward pass and compute the rest again."""
    predicts_source = False
    """Whether `encode` returns `prefix`, for a loss of the source; only of models that read it as a prefix."""
    uses_all_parameters = True
    """Whether each training pass gives every parameter a gradient."""
    activations_per_token: int
    """Approximate number of values that training keeps for the backward pass, per target token of a batch."""

    def __init__(self, vocabulary: VocabularySpec, capabilities: Capabilities) -> None:
        super().__init__()
        self.vocabulary, self.capabilities = vocabulary, capabilities

    @abstractmethod
    def encode(self, inputs: ModelInputs) -> EncoderOutput:
        """Encode the source."""

    @abstractmethod
    def decode(self, encoder_output: Any, target: DecoderInput, attention: bool = False) -> DecoderOutput:
        """Decode whole targets; position t depends on targets up to t only, unless the model is CTC.

        Args:
            encoder_output: Of this model's `encode`.
            target: The decoder's input.
            attention: Also return cross-attention, if the model has any.
        """

    @abstractmethod
    def logits(self, output: Any, positions: OutputPositions | None = None) -> Tensor:
        """Return the logits [n,V+E] of the token after each position, all B·T of them if none are given.

        Any values whose log-softmax is the distribution. Rows are taken first, so n bounds the memory.
        """

    def copy_probability(self, output: Any) -> Tensor | None:
        """Return the probability [B,T] of copying a source token after each position; None if the model never does."""
        return None

    def init_cache(self, encoder_output: Any, batch_size: int) -> Any:
        """Return a cache of one empty hypothesis (k = 1) for each sentence."""
        raise NotImplementedError("this model does not decode step by step")

    def step(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        """Append a token to each hypothesis: ids [B,k] → logits [B,k,V+E], which the caller may overwrite, and cache.

        The first ids are decoder_start, with k = 1.
        """
        raise NotImplementedError("this model does not decode step by step")

    def prefill(self, ids: Tensor, lengths: Tensor, cache: Any) -> tuple[Tensor, Any]:
        """Append a prompt to each sentence's only hypothesis: ids [B,P], P ≥ 1 → logits [B,1,V+E] after it, and cache.

        This default, a loop over `step`, needs prompts of one length: all of `lengths` [B] must equal P.
        """
        if not bool((lengths == ids.size(1)).all()):
            raise NotImplementedError("this model needs prompts of one length in a batch")
        for column in torch.split(ids, 1, dim=1):
            logits, cache = self.step(column, cache)
        return logits, cache

    def with_target_tokens(self, tokens: Tensor) -> "Model":
        """Return a model with the same parameters that predicts only some target tokens, for search.

        Its target vocabulary, which ids and logits refer to, are those tokens, in their order.

        Args:
            tokens: [n] target ids, ascending and with all special tokens.
        """
        raise NotImplementedError("this model predicts all tokens")

    def prepare_for_inference(self, backend: Backend) -> None:
        """Replace layers by prepacked functions, in place; afterwards the model can be neither trained nor saved."""
        prepare_children(self, backend)

    def vocabulary_parameters(self) -> list[VocabularyParameter]:
        """Return the parameters with a row per vocabulary entry: embeddings, output layer and its bias."""
        raise NotImplementedError("this model is not trained")

    def adaptable_layers(self) -> list[str]:
        """Return the names of the linear layers that adapters are for unless a recipe names others."""
        raise NotImplementedError("this model is not trained")

    def fused_parameters(self) -> dict[str, Sequence[int]]:
        """Return the parameters that hold several matrices, one below the other, with the number of rows of each."""
        layers = ((name, layer) for name, layer in self.named_modules() if isinstance(layer, Linear))
        return {f"{name}.weight": layer.splits for name, layer in layers if len(layer.splits) > 1}

    def export_settings(self) -> TransformerSettings | None:
        """Return the settings of a standard Transformer with these parameters, for export to other toolkits."""
        return None

    def fsdp_units(self) -> Sequence[nn.Module]:
        """Return the modules that FSDP2 shards one by one: the layers whose parameters are all their own.

        Their inputs and outputs must pass through `forward`. What several layers share stays in the root.
        """
        uses, lists = _uses(self), [module for module in self.modules() if isinstance(module, nn.ModuleList)]
        layers = dict.fromkeys(layer for each in lists for layer in each)
        return [layer for layer in layers if _uses(layer).items() <= uses.items()]

    def _run(self, function: Callable[..., Any], *inputs: Any) -> Any:
        """Call a part of the model; with `recompute`, its inner activations are computed again, with equal dropout."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(function, *inputs, use_reentrant=False)
        return function(*inputs)

    def _known_ids(self, ids: Tensor) -> Tensor:
        """Replace ids outside the vocabulary, which only a model that copies is given, by unk."""
        size, unk = self.vocabulary.target_size, self.vocabulary.special_tokens.unk
        return ids.masked_fill(ids >= size, unk) if self.capabilities.copies else ids


def _uses(module: nn.Module) -> Counter[Tensor]:
    """Return how often each parameter occurs in a module."""
    return Counter(parameter for _, parameter in module.named_parameters(remove_duplicate=False))
