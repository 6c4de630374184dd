"""Allocator settings, and the division of cores and devices among workers."""

import os
import subprocess
import sys

import pytest
import torch

from nmt_cli import devices
from nmt_cli.devices import init_worker, limit_memory_growth


def test_tensors_are_intact_after_limit_memory_growth() -> None:
    limit_memory_growth()
    limit_memory_growth()
    assert torch.ones(2**22).sum() == 2**22


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_matmuls_of_many_shapes_do_not_leak_memory() -> None:
    """Without limits, each of 800 shapes would keep at least a quarter of a megabyte."""
    program = """
import torch
from pathlib import Path
from nmt_cli.devices import limit_memory_growth
from nmt_cli.models.kernels import linear

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

limit_memory_growth()
weight = torch.ones(32, 32)
for rows in range(10, 1010):
    linear(torch.ones(rows, 32), weight)
    if rows == 210:
        before = resident()
print(resident() - before)
"""
    limits = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
    environment = {key: value for key, value in os.environ.items() if key not in limits}
    done = subprocess.run([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, check=True)
    assert int(done.stdout) < 20 * 2**20


def test_workers_share_cores_unless_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    num_threads: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", num_threads.append)
    monkeypatch.setenv("LOCAL_RANK", "0")

    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    init_worker(0, 3)
    assert num_threads == []

    monkeypatch.delenv("OMP_NUM_THREADS")
    for count in (3, 20):
        init_worker(0, count)
    assert num_threads == [2, 1]


def test_workers_share_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setattr(devices, "default_processes", lambda: 2)
    for index in range(4):
        init_worker(index, 4)
        assert os.environ["LOCAL_RANK"] == str(index % 2)
