"""The allocator's settings can be given at any time; workers share the machine."""

import os

import pytest
import torch

from nmt_cli import devices
from nmt_cli.devices import become_worker, keep_memory_in_bounds


def test_memory_that_is_kept_is_still_memory() -> None:
    keep_memory_in_bounds()
    keep_memory_in_bounds()
    assert torch.ones(2**22).sum() == 2**22


def test_workers_share_cores_unless_the_user_has_said_how(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    monkeypatch.setenv("LOCAL_RANK", "0")

    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    become_worker(0, 3)
    assert given == []

    monkeypatch.delenv("OMP_NUM_THREADS")
    for count in (3, 20):
        become_worker(0, count)
    assert given == [2, 1]


def test_workers_share_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setattr(devices, "default_processes", lambda: 2)
    for number in range(4):
        become_worker(number, 4)
        assert os.environ["LOCAL_RANK"] == str(number % 2)
