"""Decoding settings that exclude each other are rejected."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from nmt_cli.recipe.decoding import BeamSettings, Decoding

MBR = {"strategy": "mbr"}


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"min_length": 9, "max_length": 8}, "min_length"),
        ({"beam_size": 4, "n_best": 5}, "n_best"),
        ({"beam_size": 5, "num_beam_groups": 2}, "num_beam_groups"),
        ({**MBR, "num_candidates": 32, "n_best": 40}, "n_best"),
        ({**MBR, "candidates_from": "beam", "top_p": 0.9}, "top_p"),
    ],
)
def test_decoding_rejects_settings_that_exclude_each_other(given: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError) as error:
        TypeAdapter(Decoding).validate_python(given)

    (found,) = error.value.errors()
    assert found["msg"].startswith(f"Value error, {key}: ")


@pytest.mark.parametrize("value", [True, False, "never"])
def test_early_stopping_takes_three_values(value: object) -> None:
    assert BeamSettings.model_validate({"early_stopping": value}).early_stopping is value


@pytest.mark.parametrize("value", ["settled", 1, None])
def test_early_stopping_rejects_other_values(value: object) -> None:
    with pytest.raises(ValidationError):
        BeamSettings.model_validate({"early_stopping": value})
