"""Decoder vectors → scores of the next word."""

from torch import Tensor, nn

from nmt_cli.models.contract import Decoded
from nmt_cli.models.linear import Linear, Packing, Product, linear
from nmt_cli.recipe.model import Tying


class Output(nn.Module):
    """One score for each word of the target vocabulary.

    Tied, it is the target embeddings again, without a bias (Press & Wolf 2017). It is given all that the decoder says,
    attention too, so that an output that copies source words fits in its place.
    """

    def __init__(self, width: int, embeddings: nn.Embedding, tying: Tying) -> None:
        super().__init__()
        words, embedding_width = embeddings.weight.shape
        self.projection = Linear(width, words) if tying == "none" else None
        self.packed: Product | None = None
        needs_fitting = tying != "none" and width != embedding_width
        self.fit = Linear(width, embedding_width, bias=False) if needs_fitting else nn.Identity()

    def pack(self, embeddings: nn.Embedding, packed: Packing) -> None:
        """Have a matrix for search."""
        if self.projection is None:
            self.packed = packed(embeddings.weight, None, False)
        else:
            self.packed, self.projection = packed(self.projection.weight, self.projection.bias, False), None

    def forward(self, decoded: Decoded, embeddings: nn.Embedding, positions: Tensor | None = None) -> Tensor:
        """Scores [n,V] at positions [n] of B·T, or at all; rows are taken first, so that n bounds the memory."""
        vectors = decoded.vectors.flatten(0, 1)
        if positions is not None:
            vectors = vectors.index_select(0, positions)
        vectors = self.fit(vectors)
        projection: Product | None = self.packed or self.projection
        scores: Tensor = linear(vectors, embeddings.weight) if projection is None else projection(vectors)
        return scores
