"""The layers of the Transformer, and how weights begin."""

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from nmt_cli.models.attention import Seen, SelfAttention, SourceAttention
from nmt_cli.models.dropout import Dropout
from nmt_cli.models.embeddings import Rotation
from nmt_cli.models.linear import Linear, Packing, become
from nmt_cli.recipe.model import TransformerSettings


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.self_attention = SelfAttention(*_attention_sizes(settings))
        self.feed_forward = FeedForward(settings)
        self.around_self = Residual(settings)
        self.around_feed_forward = Residual(settings)

    def forward(self, vectors: Tensor, rotation: Rotation | None, visible: Tensor | None) -> Tensor:
        """Vectors [B,S,D] → [B,S,D]; visible [B,1,1,S] marks words, None if there is no padding."""
        mixed = self.self_attention(self.around_self.enter(vectors), rotation, visible)
        vectors = self.around_self.leave(vectors, mixed)
        changed = self.feed_forward(self.around_feed_forward.enter(vectors))
        return self.around_feed_forward.leave(vectors, changed)


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the source, and feed-forward."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.self_attention = SelfAttention(*_attention_sizes(settings))
        self.source_attention = SourceAttention(*_attention_sizes(settings))
        self.feed_forward = FeedForward(settings)
        self.around_self = Residual(settings)
        self.around_source = Residual(settings)
        self.around_feed_forward = Residual(settings)

    def forward(
        self, vectors: Tensor, rotation: Rotation | None, memory: Tensor, visible: Tensor | None, attention: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Whole targets [B,T,D] → [B,T,D], and if asked for, attention [B,T,S] to the memory [B,S,D]."""
        mixed = self.self_attention(self.around_self.enter(vectors), rotation, causal=True)
        vectors = self.around_self.leave(vectors, mixed)
        remembered = self.source_attention.remember(memory)
        query = self.around_source.enter(vectors)
        weights = self.source_attention.weights(query, remembered, visible) if attention else None
        return self._finish(vectors, self.source_attention(query, remembered, visible)), weights

    def step(self, vectors: Tensor, rotation: Rotation | None, said: Seen, newest: Tensor, source: Seen) -> Tensor:
        """One position of each hypothesis, [B·k,D] → [B·k,D]; `newest` is the place for its keys and values."""
        mixed = self.self_attention.step(self.around_self.enter(vectors), rotation, said, newest)
        vectors = self.around_self.leave(vectors, mixed)
        mixed = self.source_attention.step(self.around_source.enter(vectors), source)
        return self._finish(vectors, mixed)

    def _finish(self, vectors: Tensor, mixed: Tensor) -> Tensor:
        vectors = self.around_source.leave(vectors, mixed)
        changed = self.feed_forward(self.around_feed_forward.enter(vectors))
        return self.around_feed_forward.leave(vectors, changed)


class FeedForward(nn.Module):
    """Two linear layers with an activation between."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.activation = settings.activation
        gates = 2 if self.activation == "swiglu" else 1
        self.inner = Linear(settings.width, gates * settings.feed_forward)
        self.activate: nn.Module = Activation(settings)
        self.outer = Linear(settings.feed_forward, settings.width)

    def pack(self, packed: Packing) -> None:
        """Let the inner product end with the activation, if it can."""
        if self.activation == "relu":
            become(self, "inner", packed(self.inner.weight, self.inner.bias, True))
            self.activate = nn.Identity()

    def forward(self, vectors: Tensor) -> Tensor:
        changed: Tensor = self.outer(self.activate(self.inner(vectors)))
        return changed


class Activation(nn.Module):
    """What makes a feed-forward sublayer more than linear, with dropout; swiglu has a gate (Shazeer 2020)."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.function = settings.activation
        self.dropout = Dropout(settings.activation_dropout)

    def forward(self, values: Tensor) -> Tensor:
        if self.function == "relu":
            # Dropout first is the same, and the backward pass needs one large tensor less.
            return functional.relu(self.dropout(values))
        if self.function == "gelu":
            return cast(Tensor, self.dropout(functional.gelu(values)))
        gate, passed = values.chunk(2, dim=-1)
        return cast(Tensor, self.dropout(functional.silu(gate) * passed))


class Residual(nn.Module):
    """What surrounds a sublayer: dropout, the sum with its input, and the norm, before it or after the sum."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.before = settings.norm.place == "pre"
        self.norm = new_norm(settings)
        self.dropout = Dropout(settings.dropout)

    def enter(self, vectors: Tensor) -> Tensor:
        """What the sublayer reads."""
        return self.norm(vectors) if self.before else vectors

    def leave(self, vectors: Tensor, change: Tensor) -> Tensor:
        """The vectors with what the sublayer made of them."""
        vectors = vectors + self.dropout(change)
        return vectors if self.before else self.norm(vectors)


def new_norm(settings: TransformerSettings) -> nn.Module:
    """LayerNorm, or RMSNorm with an epsilon that does not depend on the precision."""
    if settings.norm.type == "layer":
        return nn.LayerNorm(settings.width)
    return nn.RMSNorm(settings.width, eps=1e-6)


def initialise(module: nn.Module) -> None:
    """Give a linear layer its first weights (Glorot & Bengio 2010), and no bias; to be applied to a whole model."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _attention_sizes(settings: TransformerSettings) -> tuple[int, int, int, float]:
    shared = settings.key_value_heads or settings.heads
    return settings.width, settings.heads, shared, settings.attention_dropout
