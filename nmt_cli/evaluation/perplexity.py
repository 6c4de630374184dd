"""How well a language model predicts a text."""

import math
from dataclasses import dataclass
from typing import Any

_MAX_NATS = 700.0
"""The exponential of a larger loss is infinite."""


def perplexity(loss: float) -> float:
    """Return the perplexity of a loss in nats per token, always finite."""
    return math.exp(min(loss, _MAX_NATS))


@dataclass(frozen=True)
class TextEvaluation:
    """How well a language model predicts a text."""

    name: str
    documents: int
    tokens: int
    """Subwords, with one eos per document."""
    characters: int
    """With one for the end of each document."""
    bytes: int
    """As `characters`, in UTF-8."""
    log_probability: float
    """Natural logarithm."""

    def as_json(self) -> dict[str, Any]:
        """Return counts and measures as plain data."""
        nats = -self.log_probability
        return {
            "documents": self.documents,
            "tokens": self.tokens,
            "loss": nats / self.tokens,
            "perplexity": perplexity(nats / self.tokens),
            "nats_per_character": nats / self.characters,
            "bits_per_byte": nats / math.log(2) / self.bytes,
        }

    def as_text(self, name: str) -> str:
        """Return the measures as a line that begins with a name."""
        values = self.as_json()
        return (
            f"{name}: perplexity {values['perplexity']:.2f}, {values['loss']:.4f} nats per subword,"
            f" {values['nats_per_character']:.4f} nats per character, {values['bits_per_byte']:.4f} bits per byte"
            f" ({self.tokens:,} subwords of {self.documents:,} documents)\n"
        )
