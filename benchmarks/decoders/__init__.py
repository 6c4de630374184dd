"""Decoding servers, one for each toolkit and run in its environment, so that they can take turns."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Decoder:
    """A program of this folder and its capabilities."""

    program: str
    """Module name."""
    precisions: tuple[str, ...]
    architectures: tuple[str, ...] = ("transformer",)

    def refusal(self, model: dict[str, object], precision: str) -> str | None:
        """Return why this work is unsupported; empty if it is supported."""
        if model["architecture"] not in self.architectures:
            return f"has no {model['architecture']}"
        return None if precision in self.precisions else f"has no {precision}"


OURS, CTRANSLATE2 = "nmt", "ctranslate2"

DECODERS = {
    OURS: Decoder("benchmarks.decoders.ours", ("fp32", "bf16", "int8"), ("transformer", "rnn")),
    CTRANSLATE2: Decoder("benchmarks.decoders.ctranslate2", ("fp32", "bf16", "int8")),
    "huggingface": Decoder("benchmarks.decoders.huggingface", ("fp32",)),
    "opennmt-py": Decoder("benchmarks.decoders.opennmt", ("fp32",), ("transformer", "rnn")),
    "fairseq": Decoder("benchmarks.decoders.fairseq", ("fp32",)),
}
"""Decoders by name. The first two run in this Python, the others in their own environments."""
