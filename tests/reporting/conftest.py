"""A run as it lies on disk, without any training."""

from pathlib import Path

import pytest
from written_runs import WrittenRun, write_prepared, write_run


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WrittenRun:
    """A whole run beside its prepared data, below the working directory."""
    monkeypatch.chdir(tmp_path)
    return write_run(tmp_path / "runs" / "small", write_prepared(tmp_path / "prepared"))
