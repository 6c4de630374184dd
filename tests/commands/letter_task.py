"""A toy task, lines of letters, which a small model learns in a moment, and checks of a model that has learned it."""

import copy
import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from nmt_cli import api
from nmt_cli.api.translator import LoadedTranslator
from nmt_cli.errors import NmtError

Pair = tuple[str, str]
RECIPE: dict[str, Any] = {
    "run": "run",
    "data": {
        "source_language": "en",
        "target_language": "de",
        "prepared": "prepared",
        "filters": [],
        "train": {"words": {"source": "train.en", "target": "train.de"}},
        "valid": {"dev": {"source": "dev.en", "target": "dev.de"}},
        "test": {"test": {"source": "test.en", "target": "test.de"}},
    },
    "tokenizer": {"algorithm": "word"},
    "model": {"width": 32, "feed_forward": 64, "heads": 2, "dropout": 0.0},
    "training": {
        "update_tokens": 500,
        "label_smoothing": 0.0,
        "optimizer": {"learning_rate": 5e-3},
        "validation": {"metric": "exact_match"},
    },
    "evaluation": {"metrics": ["exact_match"], "resamples": None},
}


def random_letters(count: int, seed: int) -> Iterator[list[str]]:
    """Yield the letters of lines."""
    rng = random.Random(seed)
    for _ in range(count):
        yield [*rng.choices("abcde", k=rng.randint(1, 6)), "a"]


def write_recipe(changes: Mapping[str, object]) -> None:
    """Write recipe.yaml with settings by dotted key."""
    recipe = json.loads(json.dumps(RECIPE))
    for key, value in changes.items():
        *sections, name = key.split(".")
        section = recipe
        for each in sections:
            section = section.setdefault(each, {})
        section[name] = copy.deepcopy(value)
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe))


def write_text(pairs: Callable[[int, int], Iterator[Pair]], extra: Sequence[Pair] = ()) -> None:
    """Write the training, validation and test text; `extra` pairs are added to the first."""
    for name, count, seed in (("train", 3000, 1), ("dev", 100, 2), ("test", 200, 3)):
        rows = [*pairs(count, seed), *(extra if name == "train" else ())]
        for code, lines in zip(("en", "de"), zip(*rows, strict=True), strict=True):
            Path(f"{name}.{code}").write_text("".join(f"{line}\n" for line in lines))


def train_and_test() -> None:
    """Train the recipe, and check that the model has learned the task."""
    torch.set_num_threads(1)
    api.preprocess("recipe.yaml")
    api.train("recipe.yaml")
    (result,) = api.evaluate("run", ["test"])
    assert max(result.values.values()) >= 99


def check_learned(translator: LoadedTranslator, pairs: Sequence[Pair], **settings: Any) -> list[str]:
    """Check translations, n-best lists and their scores; return the translations."""
    sources, expected = zip(*pairs, strict=True)
    found = translator.translate(sources, **settings)
    assert num_equal(found, expected) >= 98
    wide = translator.translate(sources, beam_size=5, n_best=3)
    assert {len(each.hypotheses) for each in wide} == {3}
    check_scores(translator, wide)
    return [each.best.text for each in found]


VARIANTS: tuple[tuple[list[str], dict[str, Any]], ...] = (
    (["run", "run"], {}),
    (["run"], {"precision": "int8"}),
    (["run"], {"beam_size": 1}),
    (["run"], {"strategy": "sampling", "temperature": 0.1}),
)
"""Models and settings that translate the task like the trained model."""


def check_variants(pairs: Sequence[Pair], texts: Sequence[str], variants: Sequence[Any] = VARIANTS) -> None:
    """Check that ensembles, int8 and other searches give the translations of the trained model."""
    for models, settings in variants:
        with api.load_translator(*models, **settings) as translator:
            assert num_equal(translator.translate([source for source, _ in pairs]), texts) >= 98


def check_scores(translator: LoadedTranslator, found: Sequence[Any]) -> None:
    """Check that `score` gives translations the log-probability that the search gave them."""
    given = [(each.source, text) for each in found for text in each.hypotheses if "  " not in text.text]
    scores = translator.score([(source, text.text) for source, text in given])
    values = [text.log_probability for _, text in given]
    assert [each.log_probability for each in scores] == pytest.approx(values, abs=1e-3)
    assert [math.fsum(each.word_scores) for each in scores] == pytest.approx(values, abs=1e-3)


def num_equal(found: Sequence[Any], expected: Sequence[str]) -> int:
    """Return how many translations are as expected."""
    return sum(each.best.text == other for each, other in zip(found, expected, strict=True))


def check_refused(translator: LoadedTranslator, settings: Mapping[str, Any], name: str) -> None:
    """Check that a setting is refused in one line that names it."""
    with pytest.raises(NmtError) as caught:
        translator.translate(["a b"], **settings)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
