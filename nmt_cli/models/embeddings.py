"""Words and their positions → vectors."""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from nmt_cli.errors import RecipeError
from nmt_cli.models.contract import Source, Vocabularies
from nmt_cli.recipe.model import Tying


class Embeddings(nn.Module):
    """Word vectors of both languages; one matrix for both if the recipe ties all.

    Factors of a source word (Sennrich & Haddow 2016) have vectors of the same width, which are added to the word's.
    """

    def __init__(self, vocabularies: Vocabularies, width: int, tying: Tying, *, scale: float = 1.0) -> None:
        super().__init__()
        if tying == "all" and vocabularies.source_size != vocabularies.target_size:
            raise RecipeError(
                f"model.tied_embeddings: all needs one vocabulary for both languages, but the source has "
                f"{vocabularies.source_size} words and the target {vocabularies.target_size}; "
                "say decoder or none, or make the tokenizer joint"
            )
        self.scale = scale
        # The tied matrix has one owner, so that a checkpoint names it once.
        self.target = _embedding(vocabularies.target_size, width)
        self.source = None if tying == "all" else _embedding(vocabularies.source_size, width)
        self.factors = nn.ModuleList(_embedding(size, width) for size in vocabularies.factors)

    def read_source(self, source: Source) -> Tensor:
        """Vectors of source words: tokens [B,S] → [B,S,D]."""
        vectors: Tensor = (self.source or self.target)(source.tokens)
        given = () if source.factors is None else source.factors.unbind(-1)
        assert len(given) == len(self.factors), "a model is given the factors that it knows"
        for embedding, numbers in zip(self.factors, given, strict=True):
            vectors = vectors + embedding(numbers)
        return self._scaled(vectors)

    def read_target(self, tokens: Tensor) -> Tensor:
        """Vectors of target words: [B,T] → [B,T,D]."""
        return self._scaled(self.target(tokens))

    def _scaled(self, vectors: Tensor) -> Tensor:
        return vectors if self.scale == 1 else vectors * self.scale


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Sine and cosine waves of each position [T] → [T,D] (Vaswani et al. 2017), sines in the first half."""
    angles = positions[:, None] * _frequencies(width, positions)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


@dataclass(frozen=True)
class Rotation:
    """Angles by which queries and keys turn with their position (Su et al. 2021); cosine and sine [T,d/2]."""

    cosine: Tensor
    sine: Tensor

    @classmethod
    def of(cls, positions: Tensor, head_width: int) -> Self:
        angles = positions[:, None] * _frequencies(head_width, positions)
        return cls(angles.cos(), angles.sin())

    def at(self, place: int) -> Self:
        """The angles of one position."""
        return type(self)(self.cosine[place], self.sine[place])

    def turn(self, vectors: Tensor) -> Tensor:
        """Turn each pair (i, i + d/2) of vectors [...,T,d], or [...,d] by the angles of one position."""
        first, second = vectors.chunk(2, dim=-1)
        turned = [first * self.cosine - second * self.sine, second * self.cosine + first * self.sine]
        return torch.cat(turned, dim=-1).to(vectors.dtype)


@dataclass(frozen=True)
class Places:
    """What positions are known by: waves [T,D] to be added to words, or a rotation."""

    waves: Tensor | None
    rotation: Rotation | None


def _frequencies(width: int, positions: Tensor) -> Tensor:
    """One frequency for each of width/2 pairs, from 1 down to nearly 1/10000, on the device of the positions."""
    pairs = torch.arange(width // 2, dtype=torch.float32, device=positions.device)
    return torch.exp(pairs * (-2 * math.log(10000) / width))


def _embedding(words: int, width: int) -> nn.Embedding:
    embedding = nn.Embedding(words, width)
    # As an output layer this gives scores of order one; as input it is scaled back where the model needs it.
    nn.init.normal_(embedding.weight, std=width**-0.5)
    return embedding
