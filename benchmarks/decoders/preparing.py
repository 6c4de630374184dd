"""Prepare the input of all engines: sentences in subwords, and models with random weights."""

import contextlib
import json
import platform
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from decoders.asking import Sentence
from nmt_cli import __version__, files
from nmt_cli.commands.export import export
from nmt_cli.commands.loading import vocabulary_spec
from nmt_cli.commands.model_config import ModelConfig
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.devices import describe, pick_device
from nmt_cli.recipe.decoding import BeamSettings, Evaluation
from nmt_cli.recipe.model import ModelSettings
from nmt_cli.text.lines import read_lines
from peers.corpora import multi30k
from random_model import write_random_model

MODELS: dict[str, dict[str, Any]] = {
    "small": {"architecture": "transformer", "preset": "small"},
    "base": {"architecture": "transformer", "preset": "base"},
    "base_6_2": {"architecture": "transformer", "preset": "base", "decoder_layers": 2},
    "base_12_1": {"architecture": "transformer", "preset": "base", "encoder_layers": 12, "decoder_layers": 1},
    "lstm": {
        "architecture": "rnn",
        "cell": "lstm",
        "width": 512,
        "embedding_width": 256,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "attention": "additive",
        "tied_embeddings": "none",
    },
}
"""`model` sections of recipes."""


@dataclass(frozen=True)
class Prepared:
    """A folder with sentences and models."""

    folder: Path
    sentences: list[Sentence]
    words: int
    device: str

    def model(self, name: str) -> dict[str, Any]:
        """Return all settings of a model."""
        return _settings(name).model_dump()

    def settings(self, name: str, precision: str) -> dict[str, Any]:
        """Return the settings for a decoding server."""
        return {
            "sentences": str(self.folder / "sentences.json"),
            "model": str(self.folder / name),
            "exported": str(self.folder / f"{name}.ctranslate2"),
            "size": self.model(name),
            "words": self.words,
            "precision": precision,
        }

    def heading(self, cores: str, rounds: int) -> list[str]:
        """Return lines with machine, versions and date."""
        versions = [f"torch {torch.__version__}"]
        with contextlib.suppress(PackageNotFoundError):
            versions.append(f"CTranslate2 {version('ctranslate2')}")
        return [
            f"{_processor()}, {describe(pick_device())}; cores {cores}; {rounds} rounds; nmt {__version__}, "
            f"{', '.join(versions)}, Python {platform.python_version()}; {time.strftime('%Y-%m-%d')}."
        ]


def prepare(text: Path, folder: Path, models: list[str], cores: str) -> Prepared:
    """Create what does not exist yet."""
    corpus = multi30k(text, folder / "multi30k", cores)
    tokenizer = Tokenizer.load(corpus.prepared / "tokenizer")
    sides = {"en": tokenizer.encode_source, "de": tokenizer.encode_target}
    texts = {language: list(read_lines(text / f"test_2016_flickr.{language}.gz")) for language in sides}
    rows = [
        [[*row, tokenizer.special_tokens.eos] for row in encode(texts[language])] for language, encode in sides.items()
    ]
    (folder / "sentences.json").write_text(json.dumps(rows[0]))
    sentences = [
        Sentence(number, len(source), len(target)) for number, (source, target) in enumerate(zip(*rows, strict=True))
    ]
    for name in models:
        if not (folder / name / files.MANIFEST).is_file():
            _write_model(name, tokenizer, folder / name)
        exported = folder / f"{name}.ctranslate2"
        if not exported.is_dir() and MODELS[name]["architecture"] == "transformer" and find_spec("ctranslate2"):
            # Random weights give long translations, so that one line is enough to verify the export.
            lines = [folder / f"verification.{language}" for language in ("en", "de")]
            for path in lines:
                path.write_text("one\n")
            export(folder / name, "ctranslate2", exported, lines)
    return Prepared(folder, sentences, tokenizer.target_size, pick_device().type)


def _write_model(name: str, tokenizer: Tokenizer, place: Path) -> None:
    config = ModelConfig(
        format=1,
        source_language="en",
        target_language="de",
        vocabulary=vocabulary_spec(tokenizer),
        model=_settings(name),
        decoding=BeamSettings(),
        evaluation=Evaluation(),
    )
    write_random_model(place, config, tokenizer)


def _settings(name: str) -> Any:
    return TypeAdapter(ModelSettings).validate_python(MODELS[name])


def _processor() -> str:
    """Return the name of the processor."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().split("\n"):
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
