"""The allocator's settings can be given at any time."""

import torch

from nmt_cli.devices import keep_memory_in_bounds


def test_memory_that_is_kept_is_still_memory() -> None:
    keep_memory_in_bounds()
    keep_memory_in_bounds()
    assert torch.ones(2**22).sum() == 2**22
