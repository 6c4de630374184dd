"""Work in batches of similar size; a batch that does not fit in memory is halved."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from nmt_cli.console import OnProgress
from nmt_cli.devices import is_out_of_memory
from nmt_cli.errors import ResourceError

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


def in_batches(
    work: Callable[[list[_Item]], list[_Found]],
    items: Sequence[_Item],
    sizes: Sequence[int],
    budget: int,
    out_of_memory: Callable[[_Item], str],
    on_progress: OnProgress = lambda done: None,
) -> list[_Found]:
    """Call `work` with batches of items, and return the result of each item in the order of the items.

    Batches are sorted by size, the largest first, so that memory runs out at once or not at all. A batch that does not
    fit in memory is halved.

    Args:
        budget: Maximum total size of a batch, padded to its largest item.
        out_of_memory: Returns the error message for an item that alone does not fit in memory.
        on_progress: Called with the number of items of each batch that is done.

    Raises:
        ResourceError: An item alone does not fit in memory.
    """
    order = sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True)
    results: dict[int, _Found] = {}
    while order:
        count = max(1, budget // sizes[order[0]])
        batches, order = [order[:count]], order[count:]
        while batches:
            batch = batches.pop()
            try:
                results.update(zip(batch, work([items[index] for index in batch]), strict=True))
                on_progress(len(batch))
                continue
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise ResourceError(out_of_memory(items[batch[0]])) from error
            # Outside `except`: the exception would keep the tensors of the failed batch alive.
            torch.cuda.empty_cache()
            middle = len(batch) // 2
            batches += [batch[middle:], batch[:middle]]
    return [results[index] for index in range(len(sizes))]
