"""Small recipes for tests of errors and overrides."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nmt_cli.errors import RecipeError
from nmt_cli.recipe.loading import load_recipe

GOOD = """\
run: runs/small
data:
  source_language: en
  target_language: de
  prepared: data/prepared
  train:
    news: {source: news.en, target: news.de}
  valid:
    dev: {source: dev.en, target: dev.de}
  test:
    blind: {source: test.en, target: [test.de, test2.de]}
model:
  architecture: transformer
  preset: tiny
training:
  limits: {updates: 100}
"""


MESSY = """\
run: runs/messy
data:
  source_language: en
  target_language: de
  prepared: data/prepared
  train:
    clean: {source: news.en, target: news.de, factors: {pos: news.pos}, alignment: news.align}
    web: {format: tsv, file: web.tsv, source: en, target: 3, weight: 0.5, factors: {pos: 4}}
    back: {format: jsonl, file: back.jsonl, source: translation.en, tag: bt, factors: {pos: pos}}
    french: {format: tsv, file: fr.tsv, target_language: fr, factors: {pos: tags}}
  valid:
    dev: {source: dev.en, target: dev.de, factors: {pos: dev.pos}}
  test:
    blind: {source: test.en, target: [test.de, test2.de], factors: {pos: test.pos}}
  filters:
    - {type: length, max: 500}
    - type: ratio
      max: 2.5
    - {type: unmatched, kinds: [number, url, email]}
    - {type: language, command: ./language.sh, sides: target}
  language_tags: true
  factors: [pos]
tokenizer:
  symbols: [<br>]
model:
  architecture: transformer
  preset: tiny
training:
  mixing:
    stages:
      - {weights: {back: 7, clean: 3}, epochs: {back: 2}}
      - weights:
          clean: 1
"""


@pytest.fixture
def good() -> str:
    return GOOD


@pytest.fixture
def messy() -> str:
    """A recipe with corpora of several formats and lists of sections."""
    return MESSY


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | bytes], Path]:
    """Return a function that writes a recipe to r.yaml in the working directory."""
    monkeypatch.chdir(tmp_path)

    def write_recipe(text: str | bytes) -> Path:
        path = Path("r.yaml")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_recipe


@pytest.fixture
def errors_of(write: Callable[[str | bytes], Path]) -> Callable[..., list[str]]:
    """Return a function that loads an invalid recipe and returns the lines of the error."""

    def load_wrong_recipe(text: str | bytes, *overrides: str) -> list[str]:
        with pytest.raises(RecipeError) as caught:
            load_recipe(write(text), overrides)
        assert caught.value.exit_code == 2
        return str(caught.value).split("\n")

    return load_wrong_recipe
