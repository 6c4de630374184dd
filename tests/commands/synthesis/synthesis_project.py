"""Recipe and text for tests of text made by models."""

from pathlib import Path

from toy_model import WORDS

RECIPE = """\
run: run
data:
  source_language: de
  target_language: en
  prepared: prepared
  filters: [{type: length, max: 30}]
  train: {real: {source: train.de, target: train.en}}
  valid: {dev: {source: dev.de, target: dev.en}}
  test: {test: {source: test.de, target: test.en}}
tokenizer: {vocabulary_size: 28, byte_fallback: false}
model: {architecture: transformer, preset: tiny, width: 16, feed_forward: 16, encoder_layers: 1, decoder_layers: 1}
training: {limits: {updates: 2}}
"""
TEXT = [f"{one} {other}" for one in WORDS[:7] for other in WORDS[:7]]


def write_lines(name: str, lines: list[str]) -> Path:
    Path(name).write_text("".join(f"{line}\n" for line in lines))
    return Path(name)


def contents(folder: str) -> dict[str, bytes]:
    """Return the files of a folder by name."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}
