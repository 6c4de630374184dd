"""The section evaluation: rejected values."""

from typing import Any

import pytest
from pydantic import ValidationError

from nmt_cli.recipe.evaluation import Evaluation


@pytest.mark.parametrize(
    ("external", "message"),
    [
        ({"comet": {"command": []}}, "command"),
        ({"comet": {"command": ["comet-score", "{hyp}"]}}, r"\{hyp\}.*\{source\}"),
        ({"comet": {"command": ["comet-score", "{source}"]}}, r"\{hypothesis\}"),
        ({"comet": {"command": ["", "{hypothesis}"]}}, "command"),
        ({"comet": {"command": ["a\0b", "{hypothesis}"]}}, "command"),
        ({"comet": {"command": ["a", "{hypothesis}"], "timeout": 0}}, "timeout"),
        ({"bleu": {"command": ["a", "{hypothesis}"]}}, r"external\.bleu: "),
        ({"a b": {"command": ["a", "{hypothesis}"]}}, "pattern"),
    ],
)
def test_external_metric_rejects_invalid_commands(external: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Evaluation.model_validate({"external": external})


def test_external_metric_command_is_a_list() -> None:
    settings = Evaluation.model_validate({"external": {"x": {"command": ["a", "--ref={reference}", "{hypothesis}"]}}})
    assert settings.external["x"].timeout == 3600
    with pytest.raises(ValidationError, match="list"):
        Evaluation.model_validate({"external": {"x": {"command": "a {hypothesis}"}}})
