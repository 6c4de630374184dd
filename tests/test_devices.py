"""The allocator's settings can be given at any time."""

import torch

from nmt_cli.devices import keep_freed_memory


def test_memory_that_is_kept_is_still_memory() -> None:
    keep_freed_memory()
    keep_freed_memory()
    assert torch.ones(2**22).sum() == 2**22
