"""This toolkit, run by its command line."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from peers.contract import BETAS, CLIP_NORM, DROPOUT, LABEL_SMOOTHING, Corpus, Lstm, Transformer, Work

VOCABULARY_SIZE = 8000
_NEVER = 10**9


def command(*arguments: str | Path) -> list[str]:
    """Return the command line of `nmt` with these arguments, in this Python."""
    return [sys.executable, "-m", "nmt_cli", *map(str, arguments)]


def data_sections(corpus: Corpus) -> dict[str, Any]:
    """Return the `data` and `tokenizer` sections of a recipe for the corpus."""
    sides = {
        split: {"text": {side: str(corpus.text(split, side)) for side in ("source", "target")}}
        for split in ("train", "valid")
    }
    languages = {"source_language": "source", "target_language": "target"}
    return {
        "data": {
            **languages,
            "prepared": str(corpus.prepared),
            "filters": [],
            **sides,
        },  # all systems learn from the same pairs
        "tokenizer": {"vocabulary_size": VOCABULARY_SIZE},
    }


class Ours:
    """`nmt train`, on the prepared data from which the input of the peers was exported."""

    def __init__(self, python: Path | None = None) -> None:
        assert python is None, "ours is run by the Python that runs this program"

    def refusal(self, work: Work) -> str | None:
        return None

    def preparation(self, work: Work, folder: Path) -> list[list[str]]:
        return []

    def training(self, work: Work, folder: Path) -> list[str]:
        recipe = {
            "run": str(folder / "run"),
            **data_sections(work.corpus),
            "model": model_section(work.size),
            "training": {
                "update_tokens": work.batch_tokens,
                "batch_tokens": "auto",  # as unless told: an update of the same size, in passes that suit the device
                "precision": work.precision,
                "label_smoothing": LABEL_SMOOTHING,
                "clip_norm": CLIP_NORM,
                "optimizer": {"learning_rate": work.learning_rate, "betas": list(BETAS)},
                "schedule": {"type": "inverse_sqrt", "warmup": work.warmup},
                "validation": {"every": _NEVER},
                "limits": {"updates": _NEVER},
                "logging": {"every": work.report_every},
            },
        }
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
        return command("train", folder / "recipe.yaml")

    def journal(self, folder: Path, log: Path) -> Path:
        return folder / "run" / "metrics.jsonl"

    def count(self, line: str, so_far: int) -> int:
        record = json.loads(line)
        return int(record["target_tokens"]) if record["kind"] == "train" else so_far

    def translation(self, work: Work, folder: Path, source: Path, output: Path) -> list[str]:
        raise NotImplementedError("ours translates text, not pieces: see time_to_quality.py")


def model_section(size: Transformer | Lstm) -> dict[str, Any]:
    """Return the `model` section of a recipe."""
    if isinstance(size, Lstm):
        return {
            "architecture": "rnn",
            "cell": "lstm",
            "width": size.width,
            "embedding_width": size.width // 2,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "attention": "additive",
            "input_feeding": size.feeding,
            "tied_embeddings": "none",
            "dropout": DROPOUT,
        }
    return {
        "architecture": "transformer",
        "width": size.width,
        "feed_forward": size.feed_forward,
        "encoder_layers": size.layers,
        "decoder_layers": size.layers,
        "heads": size.heads,
        "dropout": DROPOUT,
        "attention_dropout": DROPOUT,
        "activation_dropout": DROPOUT,
    }
