"""Weights are counted without being read."""

from pathlib import Path

import pytest
import torch

from nmt_cli.errors import ModelError
from nmt_cli.runs.checkpoints import write_tensors
from nmt_cli.runs.directory import count_parameters


def test_all_numbers_of_all_tensors_count(tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(3, 4), "b": torch.zeros(5, dtype=torch.bfloat16), "c": torch.zeros(())}
    write_tensors(tmp_path / "w.safetensors", tensors)
    assert count_parameters(tmp_path / "w.safetensors") == 18


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\xff" * 100])
def test_what_is_no_file_of_weights_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"w\.safetensors"):
        count_parameters(tmp_path / "w.safetensors")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"w\.safetensors"):
        count_parameters(tmp_path / "w.safetensors")
