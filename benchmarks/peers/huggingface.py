"""Hugging Face transformers: MarianMT with its Seq2SeqTrainer, started by `huggingface_trainer.py`."""

import json
from dataclasses import asdict
from pathlib import Path

from peers.contract import BETAS, CLIP_NORM, DROPOUT, LABEL_SMOOTHING, Transformer, Work


class HuggingFace:
    """MarianMT, which is post-norm. Batches are counted in sentences and grouped by length."""

    def __init__(self, python: Path) -> None:
        self._python = python

    def refusal(self, work: Work) -> str | None:
        return None if isinstance(work.size, Transformer) else "has no LSTM"

    def preparation(self, work: Work, folder: Path) -> list[list[str]]:
        return []

    def training(self, work: Work, folder: Path) -> list[str]:
        assert isinstance(work.size, Transformer)
        settings = {
            "size": asdict(work.size),
            "dropout": DROPOUT,
            "label_smoothing": LABEL_SMOOTHING,
            "betas": BETAS,
            "clip_norm": CLIP_NORM,
            "learning_rate": work.learning_rate,
            "warmup": work.warmup,
            "sentences": work.sentences,
            "bf16": work.precision == "bf16",
            "report_every": work.report_every,
            "save_every": work.save_every,
            "source": str(work.corpus.pieces("train", "source")),
            "target": str(work.corpus.pieces("train", "target")),
            "vocabulary": str(work.corpus.vocabulary),
            "model": str(folder / "model"),
        }
        (folder / "settings.json").write_text(json.dumps(settings, indent=2))
        return self._command("train", folder)

    def journal(self, folder: Path, log: Path) -> Path:
        return log

    def count(self, line: str, so_far: int) -> int:
        return int(line.split()[1]) if line.startswith("target_tokens ") else so_far

    def translation(self, work: Work, folder: Path, source: Path, output: Path) -> list[str]:
        return [*self._command("translate", folder), str(source), str(output)]

    def _command(self, verb: str, folder: Path) -> list[str]:
        program = Path(__file__).with_name("huggingface_trainer.py")
        return [str(self._python), "-P", str(program), verb, str(folder / "settings.json")]
