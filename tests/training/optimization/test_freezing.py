"""Weights are frozen by their names."""

import pytest
from torch import nn

from nmt_cli.errors import RecipeError
from nmt_cli.training.optimization.freezing import freeze


def model() -> nn.Module:
    return nn.ModuleDict({"encoder": nn.ModuleList([nn.Linear(2, 3), nn.Linear(3, 2)]), "output": nn.Linear(2, 5)})


def learning(frozen: nn.Module) -> list[str]:
    return [name for name, weight in frozen.named_parameters() if weight.requires_grad]


@pytest.mark.parametrize(
    ("patterns", "left", "numbers"),
    [
        (["output.*"], ["encoder.0.weight", "encoder.0.bias", "encoder.1.weight", "encoder.1.bias"], 15),
        (["encoder.*"], ["output.weight", "output.bias"], 17),
        (["encoder.0.*", "*.bias"], ["encoder.1.weight", "output.weight"], 16),
        (["encoder.[01].weight", "output.bias"], ["encoder.0.bias", "encoder.1.bias", "output.weight"], 17),
    ],
)
def test_weights_with_a_matching_name_stop_learning(patterns: list[str], left: list[str], numbers: int) -> None:
    frozen = model()
    assert freeze(frozen, patterns) == numbers
    assert learning(frozen) == left


@pytest.mark.parametrize("pattern", ["decoder.*", "Encoder.*", "encoder", ""])
def test_a_pattern_without_a_weight_is_told_with_names_there_are(pattern: str) -> None:
    with pytest.raises(RecipeError, match=r"^training\.freeze: no weight .*encoder\.0\.weight") as caught:
        freeze(model(), [pattern])
    assert "\n" not in str(caught.value)


def test_something_must_be_left_to_train() -> None:
    with pytest.raises(RecipeError, match=r"training\.freeze: encoder\.\*, output\.\* leave no weight to train"):
        freeze(model(), ["encoder.*", "output.*"])


def test_without_patterns_everything_learns() -> None:
    untouched = model()
    assert freeze(untouched, []) == 0
    assert len(learning(untouched)) == 6
