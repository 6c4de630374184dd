"""Small corpora of made-up words, and recipes for them."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt_cli.recipe.schema import Recipe


def _sentences(seed: int, count: int) -> list[str]:
    generator = random.Random(seed)
    words = ["".join(generator.choices("abcdefghij", k=generator.randint(2, 6))) for _ in range(80)]
    return [" ".join(generator.choices(words, k=generator.randint(1, 9))) for _ in range(count)]


@pytest.fixture(scope="session")
def sentences() -> Callable[[int, int], list[str]]:
    """Made-up sentences, by seed and number."""
    return _sentences


@pytest.fixture
def make_recipe(tmp_path: Path) -> Callable[..., Recipe]:
    """A recipe with a training and a validation corpus, written from lines or bytes, and no filters.

    Further keys are those of the tokenizer.
    """

    def make(
        source: list[str] | bytes | None = None, target: list[str] | bytes | None = None, **tokenizer: Any
    ) -> Recipe:
        sides = {"source": source, "target": target}
        for number, (side, lines) in enumerate(sides.items()):
            lines = _sentences(number, 60) if lines is None else lines
            content = lines if isinstance(lines, bytes) else "".join(f"{line}\n" for line in lines).encode()
            (tmp_path / f"train.{side}").write_bytes(content)
            (tmp_path / f"valid.{side}").write_text("".join(f"{line}\n" for line in _sentences(number + 10, 5)))
        data = {
            name: {"corpus": {side: str(tmp_path / f"{name}.{side}") for side in sides}} for name in ("train", "valid")
        }
        return Recipe.model_validate(
            {
                "run": str(tmp_path / "run"),
                "data": {
                    "source_language": "aa",
                    "target_language": "bb",
                    "prepared": str(tmp_path / "prepared"),
                    "max_length": 80,
                    "filters": [],
                    **data,
                },
                "tokenizer": {"vocabulary_size": 300, **tokenizer},
                "model": {"architecture": "transformer", "preset": "tiny", "tied_embeddings": "decoder"},
            }
        )

    return make
