"""Recipes of CTC models: their search follows from the model, and what they cannot do is refused at its key."""

from typing import Any

import pytest
from minimal_recipe import MINIMAL_RECIPE
from pydantic import ValidationError

from nmt_cli.recipe.decoding import BeamSettings, CtcSearchSettings
from nmt_cli.recipe.schema import Recipe

CTC = MINIMAL_RECIPE | {"model": {"architecture": "ctc"}}


def with_setting(key: str, value: Any) -> dict[str, Any]:
    """Return the recipe of a CTC model with one more setting."""
    recipe: dict[str, Any] = dict(CTC)
    section, (*outer, last) = recipe, key.split(".")
    for name in outer:
        section[name] = dict(section.get(name, {}))
        section = section[name]
    section[last] = value
    return recipe


def test_strategy_follows_from_the_model() -> None:
    assert isinstance(Recipe.model_validate(MINIMAL_RECIPE).decoding, BeamSettings)
    found = Recipe.model_validate(CTC)
    assert isinstance(found.decoding, CtcSearchSettings)
    assert not found.gives("decoding")
    wider = Recipe.model_validate(with_setting("decoding.beam_size", 7))
    assert wider.decoding == CtcSearchSettings(strategy="ctc", beam_size=7)
    assert not wider.gives("decoding.strategy")
    assert wider.gives("decoding.beam_size")
    assert Recipe.model_validate(wider.model_dump(mode="json")) == wider


@pytest.mark.parametrize(
    ("key", "value", "reported"),
    [
        ("decoding.strategy", "beam", "decoding.strategy"),
        ("decoding.strategy", "sampling", "decoding.strategy"),
        ("decoding.n_best", 3, "n_best"),
        ("decoding.max_length", 100, "max_length"),
        ("decoding.no_repeat_ngram_size", 3, "no_repeat_ngram_size"),
        ("training.scheduled_sampling", {}, "training.scheduled_sampling"),
        ("training.consistency", {"type": "r_drop"}, "training.consistency"),
        ("training.word_dropout", {"target": 0.1}, "training.word_dropout.target"),
        ("training.guided_alignment", {}, "training.guided_alignment"),
        ("data.sequence", {"language_tokens": True}, "data.sequence.language_tokens"),
        ("data.sequence", {"bos": True}, "data.sequence.bos"),
        ("model", {"architecture": "ctc", "tied_embeddings": "none"}, "tied_embeddings"),
        ("model", {"architecture": "ctc", "upsampling": 0}, "upsampling"),
    ],
)
def test_settings_that_ctc_cannot_offer_are_refused(key: str, value: Any, reported: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate(with_setting(key, value))
    assert reported in str(caught.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (0.5, 0.3)),
        ({"ratio": 0.2}, (0.2, 0.2)),
        ({"final_ratio": 0.9}, (0.9, 0.9)),
        ({"ratio": 1.0, "final_ratio": 0.0}, (1.0, 0.0)),
    ],
)
def test_ratios_of_glancing_fit_each_other(given: dict[str, float], expected: tuple[float, float]) -> None:
    glancing = Recipe.model_validate(with_setting("training.glancing", given)).training.glancing
    assert glancing is not None
    assert (glancing.ratio, glancing.final_ratio) == expected


@pytest.mark.parametrize("given", [{"ratio": 0.2, "final_ratio": 0.3}, {"ratio": 1.1}, {"ratio": "half"}])
def test_wrong_ratios_of_glancing_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"ratio"):
        Recipe.model_validate(with_setting("training.glancing", given))


@pytest.mark.parametrize("model", [{"architecture": "transformer"}, {"architecture": "rnn"}])
def test_glancing_is_refused_for_other_models(model: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=rf"training\.glancing: requires .* ctc, not {model['architecture']}"):
        Recipe.model_validate(MINIMAL_RECIPE | {"model": model, "training": {"glancing": {}}})


def test_glancing_is_judged_by_the_model_to_start_from() -> None:
    given = {key: value for key, value in MINIMAL_RECIPE.items() if key != "model"}
    recipe = Recipe.model_validate(given | {"training": {"glancing": {}, "start_from": "pretrained"}})
    started = recipe.with_value("model", Recipe.model_validate(MINIMAL_RECIPE).model)
    assert "training.glancing" in dict(started.conflicts())
    assert not [*Recipe.model_validate(CTC | {"training": {"glancing": {}}}).conflicts()]


def test_ctc_search_is_refused_for_other_models() -> None:
    with pytest.raises(ValidationError, match=r"decoding\.strategy: ctc does not suit model\.architecture transformer"):
        Recipe.model_validate(MINIMAL_RECIPE | {"decoding": {"strategy": "ctc"}})
