"""The layers of the Transformer."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nmt_cli.models.attention import CrossAttention, KeyValues, SelfAttention
from nmt_cli.models.kernels import Backend, Dropout, Linear, prepare_children, replace_submodule
from nmt_cli.models.positions import RotaryCache
from nmt_cli.models.rnn.layers import Ssru
from nmt_cli.recipe.model import CtcSettings, LayerSettings, TransformerSettings


class SelfAttentionLayer(nn.Module):
    """The parameters of self-attention and feed-forward."""

    def __init__(self, settings: LayerSettings, self_attention: SelfAttention | None = None) -> None:
        """`self_attention`: None for attention to all positions."""
        super().__init__()
        self.self_attention = self_attention or SelfAttention(*attention_sizes(settings))
        self.feed_forward = FeedForward(settings)
        self.self_attention_residual = Residual(settings)
        self.feed_forward_residual = Residual(settings)

    def _finish(self, hidden_states: Tensor, attended: Tensor) -> Tensor:
        hidden_states = self.self_attention_residual.add(hidden_states, attended)
        transformed = self.feed_forward(self.feed_forward_residual.pre_norm(hidden_states))
        return self.feed_forward_residual.add(hidden_states, transformed)


class EncoderLayer(SelfAttentionLayer):
    """Self-attention in both directions, and feed-forward."""

    def forward(self, hidden_states: Tensor, rotary: RotaryCache | None, attn_mask: Tensor | None) -> Tensor:
        """Map [B,S,D] → [B,S,D]; attn_mask is that of SelfAttention."""
        attended = self.self_attention(self.self_attention_residual.pre_norm(hidden_states), rotary, attn_mask)
        return self._finish(hidden_states, attended)


class CausalLayer(SelfAttentionLayer):
    """Causal self-attention and feed-forward: a layer of a decoder-only model, which may read a prefix."""

    def forward(
        self,
        hidden_states: Tensor,
        rotary: RotaryCache | None,
        attn_mask: Tensor | None,
        is_causal: bool,
        prefix: Tensor | None = None,
        output: Literal["hidden_states", "both", "key_values"] = "hidden_states",
    ) -> tuple[Tensor | None, Tensor | None]:
        """Map [B,T,D] → [B,T,D]; see SelfAttention.extend.

        Args:
            hidden_states: [B,T,D]
            rotary: See SelfAttention.extend, as for `attn_mask`, `is_causal` and `prefix`.
            attn_mask: [B or 1,1 or H,T,S+T]
            is_causal: Only without a prefix.
            prefix: [2,B,K,S,d]
            output: Hidden states, keys and values [2,B,K,T,d], or both; the other is None.
        """
        query = self.self_attention_residual.pre_norm(hidden_states)
        if output == "key_values":
            return None, torch.stack(self.self_attention.project_kv(query, rotary))
        attended, new = self.self_attention.extend(query, rotary, attn_mask, is_causal, prefix)
        return self._finish(hidden_states, attended), torch.stack(new) if output == "both" else None

    def step(
        self,
        hidden_states: Tensor,
        rotary: RotaryCache | None,
        past: KeyValues,
        new_kv: Tensor,
        prefix: KeyValues | None,
    ) -> Tensor:
        """Map the newest position of each hypothesis, [n,D] → [n,D]; see SelfAttention.step."""
        query = self.self_attention_residual.pre_norm(hidden_states)
        return self._finish(hidden_states, self.self_attention.step(query, rotary, past, new_kv, prefix))


class DecoderLayer(nn.Module):
    """Self-attention, causal or in both directions, or an SSRU, then cross-attention and feed-forward."""

    def __init__(self, settings: TransformerSettings | CtcSettings, *, is_causal: bool = True) -> None:
        super().__init__()
        self.is_causal = is_causal
        self.self_attention: SelfAttention | Ssru
        if settings.decoder_self_attention == "ssru":
            self.self_attention = Ssru(settings.width, settings.bias)
        else:
            self.self_attention = SelfAttention(*attention_sizes(settings))
        self.cross_attention = CrossAttention(*attention_sizes(settings), settings.pointing_heads)
        self.feed_forward = FeedForward(settings)
        self.self_attention_residual = Residual(settings)
        self.cross_attention_residual = Residual(settings)
        self.feed_forward_residual = Residual(settings)

    def forward(
        self,
        hidden_states: Tensor,
        rotary: RotaryCache | None,
        self_attn_mask: Tensor | None,
        encoder_hidden_states: Tensor,
        cross_attn_mask: Tensor | None,
        attention: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Map whole targets [B,T,D] → [B,T,D], and cross-attention [B,T,S] if asked for.

        Self-attention of a causal layer is causal if self_attn_mask is None; see SelfAttention.
        """
        attended = self.self_attention(
            self.self_attention_residual.pre_norm(hidden_states),
            rotary,
            self_attn_mask,
            is_causal=self.is_causal and self_attn_mask is None,
        )
        hidden_states = self.self_attention_residual.add(hidden_states, attended)
        encoder_kv = self.cross_attention.project_kv(encoder_hidden_states)
        query = self.cross_attention_residual.pre_norm(hidden_states)
        weights = self.cross_attention.weights(query, encoder_kv, cross_attn_mask) if attention else None
        return self._finish(hidden_states, self.cross_attention(query, encoder_kv, cross_attn_mask)), weights

    def step(
        self,
        hidden_states: Tensor,
        rotary: RotaryCache | None,
        past: Any,
        new: Tensor,
        encoder_kv: KeyValues,
        attention: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Map the newest position of each hypothesis, [B·k,D] → [B·k,D], and cross-attention [B,k,S] if asked for.

        See SelfAttention.step and Ssru.step.
        """
        attended = self.self_attention.step(self.self_attention_residual.pre_norm(hidden_states), rotary, past, new)
        hidden_states = self.self_attention_residual.add(hidden_states, attended)
        query = self.cross_attention_residual.pre_norm(hidden_states)
        attended, weights = self.cross_attention.step(query, encoder_kv, attention)
        return self._finish(hidden_states, attended), weights

    def _finish(self, hidden_states: Tensor, attended: Tensor) -> Tensor:
        hidden_states = self.cross_attention_residual.add(hidden_states, attended)
        transformed = self.feed_forward(self.feed_forward_residual.pre_norm(hidden_states))
        return self.feed_forward_residual.add(hidden_states, transformed)


class FeedForward(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, settings: LayerSettings) -> None:
        super().__init__()
        self.activation = settings.activation
        splits = [settings.feed_forward] * (2 if self.activation in GATES else 1)
        self.inner = Linear(settings.width, sum(splits), settings.bias, splits)
        self.activate: nn.Module = FeedForwardActivation(settings)
        self.outer = Linear(settings.feed_forward, settings.width, settings.bias)

    def prepare_for_inference(self, backend: Backend) -> None:
        """Fuse the activation into the inner product, if it is a ReLU."""
        if self.activation == "relu":
            replace_submodule(self, "inner", backend.linear(self.inner.weight, self.inner.bias, relu=True))
            self.activate = nn.Identity()
        prepare_children(self, backend)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.outer(self.activate(self.inner(hidden_states)))


def _gelu_tanh(values: Tensor) -> Tensor:
    return functional.gelu(values, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": functional.silu,
}
GATES = {"swiglu": "silu", "geglu": "gelu", "geglu_tanh": "gelu_tanh"}
"""The activation of the gate of each gated unit."""


class FeedForwardActivation(nn.Module):
    """The nonlinearity of a feed-forward sublayer, perhaps gated, with dropout."""

    def __init__(self, settings: LayerSettings) -> None:
        super().__init__()
        self.is_relu, self.is_gated = settings.activation == "relu", settings.activation in GATES
        self.function = ACTIVATIONS[GATES.get(settings.activation, settings.activation)]
        self.dropout = Dropout(settings.activation_dropout)

    def forward(self, values: Tensor) -> Tensor:
        if self.is_relu:
            # Dropout first is the same, and the backward pass needs one large tensor less.
            return self.function(self.dropout(values))
        if not self.is_gated:
            return self.dropout(self.function(values))
        gate, values = values.chunk(2, dim=-1)
        return self.dropout(self.function(gate) * values)


class Residual(nn.Module):
    """The residual connection around a sublayer: dropout, sum, and a norm before the sublayer or after the sum."""

    def __init__(self, settings: LayerSettings) -> None:
        super().__init__()
        self.is_pre_norm = settings.norm.position == "pre"
        self.norm = new_norm(settings)
        self.dropout = Dropout(settings.dropout)

    def pre_norm(self, hidden_states: Tensor) -> Tensor:
        """Return the sublayer's input."""
        return self.norm(hidden_states) if self.is_pre_norm else hidden_states

    def add(self, hidden_states: Tensor, sublayer_output: Tensor) -> Tensor:
        """Add the sublayer's output to what entered `pre_norm`."""
        hidden_states = hidden_states + self.dropout(sublayer_output)
        return hidden_states if self.is_pre_norm else self.norm(hidden_states)


def norm_epsilon(settings: LayerSettings) -> float:
    """Return what norms add to the variance, whatever the precision."""
    return settings.norm.epsilon or {"layer": 1e-5, "rms": 1e-6}[settings.norm.type]


def new_norm(settings: LayerSettings) -> nn.Module:
    """Return the norm that the settings name."""
    norm = nn.LayerNorm if settings.norm.type == "layer" else nn.RMSNorm
    return norm(settings.width, eps=norm_epsilon(settings))


def new_embedding_norm(settings: LayerSettings) -> nn.Module:
    """Return the norm of embeddings, after positions are added: none unless the settings ask for it."""
    return new_norm(settings) if settings.norm.embeddings else nn.Identity()


def new_final_norm(settings: LayerSettings) -> nn.Module:
    """Return the norm after the last layer: none with post-norm layers, which end with a norm of their own."""
    return new_norm(settings) if settings.norm.position == "pre" else nn.Identity()


def attention_sizes(settings: LayerSettings) -> tuple[int, int, int, float, int, bool, bool]:
    """Return the arguments of SelfAttention, in their order."""
    num_kv_heads, head_width = settings.key_value_heads or settings.heads, settings.attention_head_width
    sizes = settings.width, settings.heads, num_kv_heads, settings.attention_dropout, head_width
    return *sizes, settings.bias, settings.scale_attention
