"""What a user asks for: a line, and what is wished of its translation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    """A line to translate, with wishes in raw text."""

    text: str
    prefix: str = ""
    """How the translation begins."""
    required: tuple[str, ...] = ()
    """Words or phrases that the translation holds."""
    forbidden: tuple[str, ...] = ()
    """Words or phrases that it does not hold."""
    target_language: str | None = None
    """Into which language, of those that the model knows; None: the usual one."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What came with it, and goes out with its translation again in JSON."""
