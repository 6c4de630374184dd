"""Settings of decoding that cannot stand together are refused in one line."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from nmt_cli.recipe.decoding import BeamSettings, Decoding, MinimumRiskSettings, SamplingSettings

RISK = {"strategy": "minimum_risk"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"min_length": 9, "max_length": 8}, "min_length: 9 is more than max_length, 8"),
        ({"beam_size": 4, "n_best": 5}, "n_best: 5 translations need a beam_size of as many, not 4"),
        ({"beam_size": 5, "groups": 2}, "groups: a beam_size of 5 cannot be shared out to 2 groups"),
        ({**RISK, "n_best": 40}, "n_best: 40 translations need as many candidates, not 32"),
        (
            {**RISK, "candidates_from": "beam", "top_p": 0.9},
            "top_p: a beam draws nothing; leave it out, or candidates_from",
        ),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as error:
        TypeAdapter(Decoding).validate_python(given)

    assert [error["msg"] for error in error.value.errors()] == [f"Value error, {told}"]


def test_candidates_are_searched_for_as_the_rest_says() -> None:
    drawn = MinimumRiskSettings(strategy="minimum_risk", epsilon=0.02, n_best=3, candidates=64, max_length=50)
    beam = MinimumRiskSettings(strategy="minimum_risk", candidates_from="beam", length_penalty=0.5)

    assert drawn.search() == SamplingSettings(strategy="sampling", epsilon=0.02, n_best=64, max_length=50)
    assert beam.search() == BeamSettings(beam_size=32, n_best=32, length_penalty=0.5)
