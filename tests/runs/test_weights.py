"""Parameters are counted without reading them."""

from pathlib import Path

import pytest
import torch

from nmt_cli.errors import ModelError
from nmt_cli.runs.checkpoints import write_tensors
from nmt_cli.runs.directory import count_parameters


def test_count_parameters_sums_all_tensors(tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(3, 4), "b": torch.zeros(5, dtype=torch.bfloat16), "c": torch.zeros(())}
    write_tensors(tmp_path / "w.safetensors", tensors)
    assert count_parameters(tmp_path / "w.safetensors") == 18


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\xff" * 100])
def test_count_parameters_of_another_format_is_a_model_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"w\.safetensors"):
        count_parameters(tmp_path / "w.safetensors")


def test_count_parameters_of_missing_file_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"w\.safetensors"):
        count_parameters(tmp_path / "w.safetensors")
