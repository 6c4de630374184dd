"""What a user asks for: a line, and what is wished of its translation."""

from dataclasses import dataclass


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
