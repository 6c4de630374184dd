"""Which weights learn."""

from fnmatch import fnmatchcase

from torch import nn

from nmt_cli.errors import RecipeError

_NAMES_SHOWN = 8


def freeze(model: nn.Module, patterns: list[str]) -> int:
    """Let weights whose names match a pattern stay as they are; how many numbers that is.

    RecipeError if a pattern matches none, or if nothing is left to train.
    """
    weights = dict(model.named_parameters())
    for pattern in patterns:
        matching = [name for name in weights if fnmatchcase(name, pattern)]
        if not matching:
            raise RecipeError(f"training.freeze: no weight is called {pattern}; some are {_some(list(weights))}")
        for name in matching:
            weights[name].requires_grad_(False)
    if not any(weight.requires_grad for weight in weights.values()):
        raise RecipeError(f"training.freeze: {', '.join(patterns)} leave no weight to train")
    return sum(weight.numel() for weight in weights.values() if not weight.requires_grad)


def _some(names: list[str]) -> str:
    """A few names, from all over the model."""
    return ", ".join(names[:: -(-len(names) // _NAMES_SHOWN)])
