"""A tiny task that the commands run in seconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

RECIPE = """\
run: run
data:
  source_language: en
  target_language: de
  prepared: prepared
  filters: []
  train: {digits: {source: train.en, target: train.de}}
  valid: {dev: {source: dev.en, target: dev.de}}
  test: {test: {source: dev.en, target: dev.de}}
tokenizer: {vocabulary_size: 28, byte_fallback: false}
model: MODEL
training:
  update_tokens: 100
  batch_tokens: 50
  subword_sampling: {alpha: 0.3}
  schedule: {type: inverse_sqrt, warmup: 4}
  limits: {updates: 12}
  validation: {every: 4, metric: chrf}
  checkpoints: {keep_last: 2, keep_best: 2}
  logging: {every: 2}
decoding: {beam_size: 2}
evaluation: {bleu_tokenizer: char}
"""
MODELS = {
    "transformer": "{architecture: transformer, preset: tiny, encoder_layers: 1, decoder_layers: 1, width: 16, "
    "feed_forward: 16, heads: 2}",
    "rnn": "{architecture: rnn, preset: tiny, encoder_layers: 1, decoder_layers: 1, width: 16, embedding_width: 8, "
    "attention: additive, input_feeding: true}",
    "ctc": "{architecture: ctc, preset: tiny, encoder_layers: 1, decoder_layers: 1, width: 16, feed_forward: 16, "
    "heads: 2, upsampling: 3, cross_attention: true}",
}
"""The smallest models of each architecture that have all parts."""
ENGLISH = ["one", "two", "three", "four", "five"]
GERMAN = ["eins", "zwei", "drei", "vier", "fünf"]


def lines(words: list[str], count: int, first: int) -> bytes:
    """Return lines of one to four words with the same content in both languages."""
    texts = (
        " ".join(words[(i * 7 + k * (1 + i % 3)) % 5] for k in range(1 + i % 4)) for i in range(first, first + count)
    )
    return "".join(f"{text}\n" for text in texts).encode()


@pytest.fixture
def architecture() -> str:
    """What a recipe's model is; tests for which it matters are given each in turn, see `each_architecture`.

    What is particular to one is tested closer to it, and much faster.
    """
    return "transformer"


@pytest.fixture
def recipe(architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A recipe with prepared data in a new working directory."""
    from nmt_cli.commands.preprocess import preprocess
    from nmt_cli.recipe.loading import load_recipe

    monkeypatch.chdir(tmp_path)
    for name, count, first in (("train", 120, 0), ("dev", 8, 500)):
        Path(f"{name}.en").write_bytes(lines(ENGLISH, count, first))
        Path(f"{name}.de").write_bytes(lines(GERMAN, count, first))
    path = Path("recipe.yaml")
    path.write_text(RECIPE.replace("MODEL", MODELS[architecture]))
    preprocess(load_recipe(path))
    yield path
