"""The contributor documentation names files and tables that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("page", ["docs/internals.md", "CONTRIBUTING.md"])
def test_files_named_in_the_contributor_docs_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    named = [each for each in re.findall(r"`([\w./]+/[\w./]*|[\w/]+\.py)`", text) if "NAME" not in each]
    bases = [ROOT, ROOT / "nmt_cli"]

    assert len(named) > 10
    assert not [each for each in named if not any((base / each).exists() for base in bases)]


def test_tables_named_in_the_contributor_guide_exist() -> None:
    code = "".join(path.read_text() for path in (ROOT / "nmt_cli").rglob("*.py"))
    tables = re.findall(r"`([A-Z]{4,})`", (ROOT / "CONTRIBUTING.md").read_text())

    assert len(tables) > 4
    assert not [each for each in tables if not re.search(rf"^{each}\b.* = \{{", code, flags=re.MULTILINE)]
