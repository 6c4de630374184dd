"""What a benchmark asks of every system: the same work, a way to start it and a way to read how far it is."""

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
    """Pre-norm, ReLU, sinusoidal positions; source embedding, target embedding and output layer are one matrix."""

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
    """Whether the attention's result goes into the decoder's next step."""


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
        """Raw lines; split is train or valid, side is source or target."""
        return self.folder / f"{split}.{side}"

    def pieces(self, split: str, side: str) -> Path:
        """The same lines as subwords between spaces."""
        return self.folder / "pieces" / f"{split}.{side}"

    @property
    def vocabulary(self) -> Path:
        """One subword a line, most frequent first, without special tokens."""
        return self.folder / "pieces" / "vocabulary"

    @property
    def prepared(self) -> Path:
        """Our prepared folder."""
        return self.folder / "prepared"


@dataclass(frozen=True)
class Work:
    """One training, the same for every system."""

    corpus: Corpus
    model: str
    """A key of MODELS."""
    precision: str
    """fp32 or bf16."""
    batch_tokens: int
    device: str
    """cpu or cuda."""
    mean_length: float
    """Target tokens of a sentence, the end token included; for systems whose batches are counted in sentences."""
    report_every: int = 1
    """Updates between reports."""
    save_every: int | None = None
    """Updates between checkpoints, if any are wanted."""
    learning_rate: float = 1e-3
    """The highest, reached after `warmup` updates; then it falls with the square root of the update's number."""
    warmup: int = 400

    @property
    def size(self) -> Transformer | Lstm:
        return MODELS[self.model]

    @property
    def sentences(self) -> int:
        """How many sentences make a batch, where tokens cannot be asked for."""
        return max(1, round(self.batch_tokens / self.mean_length))


class System(Protocol):
    """A toolkit that can be measured. Commands are lists of arguments; all files go into the folder that is given."""

    def refusal(self, work: Work) -> str | None:
        """Why this work cannot be done, if so."""

    def preparation(self, work: Work, folder: Path) -> list[list[str]]:
        """Commands to run before training, and before time is taken for its speed; often none."""

    def training(self, work: Work, folder: Path) -> list[str]:
        """The command that trains without end."""

    def journal(self, folder: Path, log: Path) -> Path:
        """The file whose lines tell how far training is: the command's own output `log`, or a better one."""

    def count(self, line: str, so_far: int) -> int:
        """Target tokens learned from, padding not counted, end tokens counted, once this line of the journal stands."""

    def translation(self, work: Work, folder: Path, source: Path, output: Path) -> list[str]:
        """The command that translates lines of pieces into lines of pieces by the last checkpoint, beam 5."""


def last_checkpoint(folder: Path, pattern: str) -> Path:
    """The file of the highest number at the end of its name."""
    found = sorted(folder.glob(pattern), key=lambda path: int(path.stem.rpartition("_")[2]))
    if not found:
        raise FileNotFoundError(f"{folder}: holds no checkpoint; give more --minutes or a smaller --save-every")
    return found[-1]
