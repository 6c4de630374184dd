"""Recording of attention weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from torch import Tensor, nn

from nmt_cli.models.attention import CrossAttention, SelfAttention

AttentionKind = Literal["cross", "encoder", "decoder"]
"""From target to source, within the source, or within the target."""


@contextmanager
def recorded_attention(model: nn.Module, kind: AttentionKind) -> Iterator[list[Tensor]]:
    """Yield a list to which each layer of attention that is called in the context adds its weights [B,H,T,S]."""
    found = list[Tensor]()

    def record(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        assert isinstance(module, SelfAttention | CrossAttention)
        found.append(module.head_weights(*inputs, **named))

    hooks = [
        module.register_forward_pre_hook(record, with_kwargs=True)
        for name, module in model.named_modules()
        if (isinstance(module, CrossAttention) and kind == "cross")
        or (isinstance(module, SelfAttention) and name.startswith(f"{kind}."))
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
