"""The interface of all systems: the same work, a way to start it and a way to follow its progress."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

DROPOUT = 0.1
"""On embeddings and what sublayers add, on attention weights, inside feed-forward layers; between layers of LSTMs."""
LABEL_SMOOTHING = 0.1
BETAS = (0.9, 0.98)
CLIP_NORM = 1.0


@dataclass(frozen=True)
class Transformer:
    """Pre-norm, ReLU, sinusoidal positions; embeddings and output layer share one matrix."""

    width: int
    feed_forward: int
    layers: int
    heads: int


@dataclass(frozen=True)
class Lstm:
    """One bidirectional encoder layer, `width / 2` each way, one decoder layer, additive attention, embeddings of
    half the width and an output layer of its own."""

    width: int
    feeding: bool
    """Whether the attention output is fed to the next decoder step."""


MODELS: dict[str, Transformer | Lstm] = {
    "small": Transformer(256, 1024, 3, 4),
    "base": Transformer(512, 2048, 6, 8),
    "big": Transformer(1024, 4096, 6, 16),
    "lstm": Lstm(512, feeding=False),
    "lstm_fed": Lstm(512, feeding=True),
}


@dataclass(frozen=True)
class Corpus:
    """Text in a folder: `{train,valid}.{source,target}`, and made from it by `nmt preprocess` what all systems read."""

    name: str
    folder: Path

    def text(self, split: str, side: str) -> Path:
        """Return the file of raw lines; split is train or valid, side is source or target."""
        return self.folder / f"{split}.{side}"

    def pieces(self, split: str, side: str) -> Path:
        """Return the file of the same lines as subwords separated by spaces."""
        return self.folder / "pieces" / f"{split}.{side}"

    @property
    def vocabulary(self) -> Path:
        """Return the vocabulary file: one subword per line, most frequent first, without special tokens."""
        return self.folder / "pieces" / "vocabulary"

    @property
    def prepared(self) -> Path:
        """Return our folder of prepared data."""
        return self.folder / "prepared"


@dataclass(frozen=True)
class Work:
    """A training, the same for every system."""

    corpus: Corpus
    model: str
    """A key of MODELS."""
    precision: str
    """fp32 or bf16."""
    batch_tokens: int
    device: str
    """cpu or cuda."""
    mean_length: float
    """Mean target tokens per sentence, eos included; for systems that count batches in sentences."""
    report_every: int = 1
    """Updates between reports."""
    save_every: int | None = None
    """Updates between checkpoints; None for no checkpoints."""
    learning_rate: float = 1e-3
    """Peak learning rate, reached after `warmup` updates; then it decays with the inverse square root."""
    warmup: int = 400

    @property
    def size(self) -> Transformer | Lstm:
        return MODELS[self.model]

    @property
    def sentences(self) -> int:
        """Return the batch size in sentences, for systems that cannot count tokens."""
        return max(1, round(self.batch_tokens / self.mean_length))


class System(Protocol):
    """A toolkit that can be measured. Commands are lists of arguments; all files go into the given folder."""

    def refusal(self, work: Work) -> str | None:
        """Return why this work is unsupported; empty if it is supported."""

    def preparation(self, work: Work, folder: Path) -> list[list[str]]:
        """Return commands to run before the measurement; often none."""

    def training(self, work: Work, folder: Path) -> list[str]:
        """Return the command that trains without end."""

    def journal(self, folder: Path, log: Path) -> Path:
        """Return the file whose lines show the progress: the output `log` of the command, or a better one."""

    def count(self, line: str, so_far: int) -> int:
        """Return the number of target tokens (without padding, with eos) after this line; None if it does not say."""

    def translation(self, work: Work, folder: Path, source: Path, output: Path) -> list[str]:
        """Return the command that translates lines of subwords with the last checkpoint and beam size 5."""


def last_checkpoint(folder: Path, pattern: str) -> Path:
    """Return the file with the highest number at the end of its name."""
    found = sorted(folder.glob(pattern), key=lambda path: int(path.stem.rpartition("_")[2]))
    if not found:
        raise FileNotFoundError(f"{folder}: holds no checkpoint; give more --minutes or a smaller --save-every")
    return found[-1]
