"""Ensembles, and minimum Bayes risk decoding."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import toy_model
from toy_model import save_toy_model

from nmt_cli.commands.translators import open_translator
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.results import Translation
from nmt_cli.errors import ModelError, RecipeError

LINES = ["one two", "three", "five six seven", "ten"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    threads = torch.get_num_threads()
    yield save_toy_model(tmp_path_factory.mktemp("models") / "one", beam_size=3, n_best=3, check=False)
    torch.set_num_threads(threads)


def translated(*models: Path, weights: tuple[float, ...] = (), overrides: tuple[str, ...] = ()) -> list[Translation]:
    translator = open_translator(TranslateOptions(models, overrides=overrides, weights=weights))
    return list(translator.translate(map(Request, LINES)))


@pytest.mark.parametrize(
    "overrides", [(), ("decoding.strategy=sampling",), ("decoding.beam_size=1", "decoding.n_best=1")]
)
def test_ensemble_of_equal_models_equals_the_model(model: Path, overrides: tuple[str, ...]) -> None:
    alone = translated(model, overrides=overrides)

    together = translated(model, model, weights=(2.0, 1.0), overrides=overrides)

    for one, other in zip(alone, together, strict=True):
        assert [found.text for found in one.hypotheses] == [found.text for found in other.hypotheses]
        assert [found.log_probability for found in one.hypotheses] == pytest.approx(
            [found.log_probability for found in other.hypotheses], abs=1e-4
        )


def test_ensemble_rejects_different_vocabularies(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toy_model.WORDS", [word[::-1] for word in toy_model.WORDS])
    other = save_toy_model(tmp_path / "other")

    with pytest.raises(ModelError, match=r"other: .*one"):
        translated(model, other)


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 2.0, 3.0), (1.0, 0.0), (1.0, -1.0), (float("nan"), 1.0)])
def test_ensemble_requires_a_positive_weight_per_model(model: Path, weights: tuple[float, ...]) -> None:
    with pytest.raises(RecipeError, match=r"^--weights: "):
        translated(model, model, weights=weights)


def test_mbr_decoding_is_wired(model: Path) -> None:
    chosen = ("decoding.strategy=mbr", "decoding.num_candidates=8", "decoding.n_best=2")

    for translation in translated(model, overrides=chosen):
        scores = [found.score for found in translation.hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 100 for score in scores)
        assert all(found.log_probability < 0 for found in translation.hypotheses)


def test_added_toxicity_is_a_problem_of_a_translation(tmp_path: Path) -> None:
    toy, letters = save_toy_model(tmp_path / "toy"), tuple(f"*{letter}*" for letter in "efghinorstuvwx")
    translations = open_translator(TranslateOptions((toy,), toxic_words=letters)).translate([Request("six")])
    assert [{each.problem for each in found.problems} >= {"toxicity"} for found in translations] == [True]
    given = TranslateOptions((toy,), toxic_words=letters, source_toxic_words=("six",))
    (found,) = open_translator(given).translate([Request("six")])
    assert "toxicity" not in {each.problem for each in found.problems}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"toxic_words": ("a",), "overrides": ("decoding.check=false",)}, r"^--toxic-words: .*--no-check"),
        ({"source_toxic_words": ("a",)}, r"^--source-toxic-words: has no effect without words"),
    ],
)
def test_lists_of_toxic_words_without_effect_are_refused(model: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        open_translator(TranslateOptions((model,), **{"overrides": ("decoding.check=true",), **options}))
