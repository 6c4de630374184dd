"""Programs that decode what they are asked to, each in the environment of its toolkit, so that they can take turns."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Decoder:
    """A program of this folder, and what it can be asked."""

    program: str
    """Its module."""
    precisions: tuple[str, ...]
    architectures: tuple[str, ...] = ("transformer",)

    def refusal(self, model: dict[str, object], precision: str) -> str | None:
        """Why this work cannot be done, if so."""
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
"""By name. The first two are run by the Python that runs the benchmark, the others by that of their environment."""
