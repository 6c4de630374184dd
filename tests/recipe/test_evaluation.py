"""The section evaluation: what it refuses."""

from typing import Any

import pytest
from pydantic import ValidationError

from nmt_cli.recipe.evaluation import Evaluation


@pytest.mark.parametrize(
    ("external", "told"),
    [
        ({"comet": {"command": []}}, "at least 1 item"),
        ({"comet": {"command": ["comet-score", "{hyp}"]}}, r"\{hyp\} stands for no file; there are \{source\}"),
        ({"comet": {"command": ["comet-score", "{source}"]}}, r"nothing in it is \{hypothesis\}"),
        ({"comet": {"command": ["", "{hypothesis}"]}}, "must be a program"),
        ({"comet": {"command": ["a\0b", "{hypothesis}"]}}, "without zero bytes"),
        ({"comet": {"command": ["a", "{hypothesis}"], "timeout": 0}}, "greater than 0"),
        ({"bleu": {"command": ["a", "{hypothesis}"]}}, r"external\.bleu: is the name of a metric of nmt"),
        ({"a b": {"command": ["a", "{hypothesis}"]}}, "pattern"),
    ],
)
def test_commands_that_cannot_work_are_refused(external: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Evaluation.model_validate({"external": external})


def test_a_program_is_given_as_a_list_of_arguments() -> None:
    settings = Evaluation.model_validate({"external": {"x": {"command": ["a", "--ref={reference}", "{hypothesis}"]}}})
    assert settings.external["x"].timeout == 3600
    with pytest.raises(ValidationError, match="list"):
        Evaluation.model_validate({"external": {"x": {"command": "a {hypothesis}"}}})
