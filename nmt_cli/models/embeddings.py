"""Tokens and their positions → vectors, and vectors → logits."""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from nmt_cli.errors import RecipeError
from nmt_cli.models.contract import DecoderOutput, ModelInputs, OutputPositions, VocabularyParameter, VocabularySpec
from nmt_cli.models.kernels import Backend, Linear, LinearFn, linear
from nmt_cli.recipe.model import Tying


class Embeddings(nn.Module):
    """Token embeddings of both sides; one matrix for both if the recipe ties all.

    Source columns, such as factors (Sennrich & Haddow 2016), have embeddings of the same width, added to the token's.
    """

    def __init__(self, vocabulary: VocabularySpec, width: int, tying: Tying, *, scale: float = 1.0) -> None:
        super().__init__()
        if tying == "all" and vocabulary.source_size != vocabulary.target_size:
            raise RecipeError(
                f"model.tied_embeddings: all needs one vocabulary for both languages, but the source has "
                f"{vocabulary.source_size} tokens and the target {vocabulary.target_size}; "
                "use decoder or none, or make the tokenizer joint"
            )
        self.scale = scale
        # The tied matrix has one owner, so that a checkpoint names it once.
        self.target = _embedding(vocabulary.target_size, width)
        self.source = None if tying == "all" else _embedding(vocabulary.source_size, width)
        self.columns = nn.ModuleDict(
            {
                name: nn.ModuleList(_embedding(size, width) for size in sizes)
                for name, sizes in vocabulary.columns.items()
            }
        )

    def embed_source(self, inputs: ModelInputs) -> Tensor:
        """Embed source ids [B,S] and their columns → [B,S,D]."""
        assert inputs.columns.keys() == self.columns.keys(), (
            "inputs must have exactly the columns that the model embeds"
        )
        vectors: Tensor = (self.source or self.target)(inputs.ids)
        for name, embeddings in self.columns.items():
            for embedding, ids in zip(embeddings.children(), inputs.columns[name].unbind(-1), strict=True):
                vectors = vectors + embedding(ids)
        return self._scaled(vectors)

    def embed_target(self, ids: Tensor) -> Tensor:
        """Embed target ids [B,T] → [B,T,D]."""
        return self._scaled(self.target(ids))

    def vocabulary_parameters(self) -> list[tuple[str, str]]:
        """Return the names of the embedding matrices within this module, each with the name of its vocabulary."""
        sides = [("target.weight", "target"), *([] if self.source is None else [("source.weight", "source")])]
        columns = [
            (f"columns.{name}.{parameter}", name)
            for name, embeddings in self.columns.items()
            for parameter, _ in embeddings.named_parameters()
        ]
        return sides + columns

    def _scaled(self, vectors: Tensor) -> Tensor:
        return vectors if self.scale == 1 else vectors * self.scale


def _embedding(size: int, width: int) -> nn.Embedding:
    embedding = nn.Embedding(size, width)
    # As an output layer this gives logits of order one; as input it is scaled back where the model needs it.
    nn.init.normal_(embedding.weight, std=width**-0.5)
    return embedding


class OutputLayer(nn.Module):
    """Decoder output → one logit for each entry of the target vocabulary.

    Tied, it is the target embeddings again, without a bias (Press & Wolf 2017). It gets the whole decoder output with
    cross-attention, so that an output layer that copies source words fits in its place.
    """

    def __init__(self, width: int, embeddings: nn.Embedding, tying: Tying) -> None:
        super().__init__()
        size, embedding_width = embeddings.weight.shape
        self.projection = Linear(width, size) if tying == "none" else None
        self.prepacked: LinearFn | None = None
        is_narrower = tying != "none" and width != embedding_width
        self.resize = Linear(width, embedding_width, bias=False) if is_narrower else nn.Identity()

    def prepack(self, embeddings: nn.Embedding, backend: Backend) -> None:
        """Prepack the matrix for inference."""
        if self.projection is None:
            self.prepacked = backend.linear(embeddings.weight)
        else:
            self.prepacked, self.projection = backend.linear(self.projection.weight, self.projection.bias), None

    def forward(
        self, output: DecoderOutput, embeddings: nn.Embedding, positions: OutputPositions | None = None
    ) -> Tensor:
        """Return logits [n,V] at some positions of B·T, or at all."""
        hidden_states = output.hidden_states.flatten(0, 1)
        if positions is not None:
            hidden_states = hidden_states.index_select(0, positions.index)
        hidden_states = self.resize(hidden_states)
        projection: LinearFn | None = self.prepacked or self.projection
        logits: Tensor = linear(hidden_states, embeddings.weight) if projection is None else projection(hidden_states)
        return logits


def sinusoidal_encoding(positions: Tensor, width: int) -> Tensor:
    """Encode positions [...] as sines and cosines → [...,D] (Vaswani et al. 2017), sines in the first half."""
    angles = positions[..., None] * _inverse_frequencies(width, positions)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class RotaryCache(NamedTuple):
    """Cosines and sines [...,T,d/2] of the angles by which queries and keys are rotated (Su et al. 2021)."""

    cos: Tensor
    sin: Tensor

    @classmethod
    def from_positions(cls, positions: Tensor, head_width: int) -> Self:
        """Return those of positions [...,T]."""
        angles = positions[..., None] * _inverse_frequencies(head_width, positions)
        return cls(angles.cos(), angles.sin())

    def at(self, position: int) -> "RotaryCache":
        """Return those of one position, [d/2]."""
        return RotaryCache(self.cos[position], self.sin[position])


def apply_rotary_emb(vectors: Tensor, rotary: RotaryCache) -> Tensor:
    """Rotate each pair (i, i + d/2) of vectors [...,T,d], or [...,d] by the angles of one position."""
    first, second = vectors.chunk(2, dim=-1)
    rotated = [first * rotary.cos - second * rotary.sin, second * rotary.cos + first * rotary.sin]
    return torch.cat(rotated, dim=-1).to(vectors.dtype)


class PositionalEncoding(NamedTuple):
    """Either a sinusoidal encoding [T,D] or [B,T,D], to be added to embeddings, or a rotary one."""

    sinusoidal: Tensor | None
    rotary: RotaryCache | None


def _inverse_frequencies(width: int, positions: Tensor) -> Tensor:
    """Return one frequency for each of width/2 pairs, from 1 down to nearly 1/10000, on the device of the positions."""
    pairs = torch.arange(width // 2, dtype=torch.float32, device=positions.device)
    return torch.exp(pairs * (-2 * math.log(10000) / width))


def tied_parameters(embeddings: Embeddings, output: OutputLayer) -> list[VocabularyParameter]:
    """Return the vocabulary parameters of a model whose attributes are called `embeddings` and `output`."""
    found = [VocabularyParameter(f"embeddings.{name}", side) for name, side in embeddings.vocabulary_parameters()]
    if output.projection is not None:
        found += [VocabularyParameter(f"output.projection.{part}", "target") for part in ("weight", "bias")]
    return found
