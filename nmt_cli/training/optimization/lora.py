"""Low-rank adaptation (LoRA, Hu et al. 2022): W + alpha / rank · B A, where only A and B are trained."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.models.contract import Model
from nmt_cli.models.kernels import Linear, linear
from nmt_cli.recipe.optimization import Lora
from nmt_cli.training.optimization.parameter_names import matching_names

_A, _B = ".lora_a", ".lora_b"
"""Suffixes that follow the name of the adapted layer in the names of A and B."""


class LoraLinear(Linear):
    """A linear layer with an adapter. B is initialised to zero, so the output is at first that of the layer alone."""

    def __init__(self, layer: Linear, settings: Lora) -> None:
        """Share the parameters of a layer [O,I]. A is [rank,I], with rows of norm near 1, and B is [O,rank]."""
        with torch.device("meta"):
            super().__init__(layer.in_features, layer.out_features, layer.bias is not None, layer.splits)
        self.weight, self.bias = layer.weight, layer.bias
        self.scale = settings.alpha / settings.rank
        self.lora_a = nn.Parameter(torch.randn(settings.rank, layer.in_features) * layer.in_features**-0.5)
        self.lora_b = nn.Parameter(torch.zeros(layer.out_features, settings.rank))

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias) + self.scale * linear(linear(input, self.lora_a), self.lora_b)


def add_adapters(model: Model, settings: Lora) -> None:
    """Add an adapter to each target layer. Only adapters and the parameters of `also_train` are trained.

    Draws from torch's default generator.

    Raises:
        RecipeError: A pattern matches nothing, or the model has no layer to adapt.
    """
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, Linear)}
    if settings.targets is None:
        matched = [model.adaptable_layers()]
        if not matched[0]:
            raise RecipeError("training.lora: this model has no linear layers to adapt; train all parameters instead")
    else:
        matched = [matching_names(list(layers), pattern, "training.lora.targets") for pattern in settings.targets]
    names = [name for name, _ in model.named_parameters()]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for pattern in settings.also_train:
        for name in matching_names(names, pattern, "training.lora.also_train"):
            model.get_parameter(name).requires_grad_(True)
    for name in dict.fromkeys(name for layer_names in matched for name in layer_names):
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, LoraLinear(layers[name], settings))


def is_adapter(name: str) -> bool:
    """Return whether a parameter belongs to an adapter."""
    return name.endswith((_A, _B))


def merge_adapters(parameters: Mapping[str, Tensor], settings: Lora, source: Path) -> dict[str, Tensor]:
    """Return the parameters with each adapter added to the matrix of its layer. Sums are computed in fp64.

    Args:
        source: File or folder of the adapters, for messages.

    Raises:
        ModelError: An adapter is incomplete, or does not fit its layer.
    """
    merged = {name: weight for name, weight in parameters.items() if not is_adapter(name)}
    for layer in dict.fromkeys(name.removesuffix(_A).removesuffix(_B) for name in parameters if is_adapter(name)):
        weight, a, b = (merged.get(f"{layer}.weight"), *(parameters.get(f"{layer}{end}") for end in (_A, _B)))
        rank = settings.rank
        if weight is None or a is None or b is None or weight.dim() != 2:
            raise ModelError(f"{source}: the adapter of {layer} is incomplete, or of another model")
        if (b.shape, a.shape) != ((weight.shape[0], rank), (rank, weight.shape[1])):
            raise ModelError(
                f"{source}: the adapter of {layer} has the shapes {tuple(b.shape)} and {tuple(a.shape)}, which do not"
                f" fit its rank, {rank}, or its matrix, {tuple(weight.shape)}"
            )
        product = b.double() @ a.double()
        merged[f"{layer}.weight"] = (weight.double() + settings.alpha / rank * product).to(weight.dtype)
    return merged
