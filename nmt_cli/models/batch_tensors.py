"""Records of tensors with one row per sentence."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from torch import Tensor


@dataclass(frozen=True)
class BatchTensors:
    """A frozen record of tensors with one row per sentence; nested records, tuples and mappings of tensors count too.

    The first dimension is the sentence, or that which a field's metadata names as `batch_dim`.
    """

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply a function to each tensor."""
        return self._rebuilt(lambda tensor, _: function(tensor))

    def select(self, sentence_indices: Tensor) -> Self:
        """Return the given sentences [B'], in the given order."""
        return self._rebuilt(lambda tensor, dim: tensor.index_select(dim, sentence_indices))

    def chunk(self, count: int) -> list[Self]:
        """Split into `count` records with equally many sentences; their tensors are views."""
        return [
            self._rebuilt(lambda tensor, dim, index=index: tensor.chunk(count, dim)[index])  # type: ignore[misc]
            for index in range(count)
        ]

    def tensors(self) -> list[Tensor]:
        """Return all tensors, in the order of the fields."""
        found = list[Tensor]()
        self.map(lambda tensor: found.append(tensor) or tensor)  # type: ignore[func-returns-value]
        return found

    def _rebuilt(self, function: Callable[[Tensor, int], Tensor]) -> Self:
        def rebuilt(value: Any, dim: int) -> Any:
            if isinstance(value, Tensor):
                return function(value, dim)
            if isinstance(value, BatchTensors):
                return value._rebuilt(function)
            if isinstance(value, Mapping):
                return {key: rebuilt(each, dim) for key, each in value.items()}
            return tuple(rebuilt(each, dim) for each in value) if isinstance(value, tuple) else value

        dims = {each.name: each.metadata.get("batch_dim", 0) for each in fields(self)}
        return replace(self, **{name: rebuilt(getattr(self, name), dim) for name, dim in dims.items()})
