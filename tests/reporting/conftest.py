"""Fixtures: a run on disk, written without any training."""

from pathlib import Path

import pytest
from fake_runs import FakeRun, write_prepared, write_run


@pytest.fixture
def fake_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    """A complete run and its prepared data below the working directory."""
    monkeypatch.chdir(tmp_path)
    return write_run(tmp_path / "runs" / "small", write_prepared(tmp_path / "prepared"))
