"""The YAML blocks of README and docs are recipes, or parts of recipes that are valid in one."""

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from minimal_recipe import MINIMAL_RECIPE

from nmt_cli.errors import RecipeError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.loading.parsing import read_document
from nmt_cli.recipe.schema import Recipe

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```ya?ml\n(.*?)^```", re.DOTALL | re.MULTILINE)
WITH_BLOCKS = [page for page in PAGES if BLOCK.search(page.read_text("utf-8"))]
NAMED = ("train", "valid", "test")
"""Sections whose corpora a block replaces, not adds to."""


def blocks(page: Path, folder: Path) -> list[dict[str, Any]]:
    """The values of a page's blocks."""
    found = []
    for match in BLOCK.finditer(page.read_text("utf-8")):
        (folder / "block.yaml").write_text(match[1], "utf-8")
        found.append(read_document(folder / "block.yaml").values)
    return found


def merged(recipe: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe with the keys of a part; another architecture, or data of its own, replace those of the recipe."""
    found = copy.deepcopy(dict(recipe))
    for key, value in part.items():
        is_whole = key in NAMED or (isinstance(value, dict) and value.keys() & {"architecture", "prepared", "type"})
        old = found.get(key)
        found[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) and not is_whole else value
    return found


def loaded(values: Mapping[str, Any], folder: Path) -> Recipe:
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(values), "utf-8")
    return load_recipe(path)


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: page.stem)
def test_blocks_are_valid(page: Path, tmp_path: Path) -> None:
    base = copy.deepcopy(MINIMAL_RECIPE)
    base["data"]["train"] = {name: {"source": "a", "target": "b"} for name in ("web", "crawl")}
    complete, before = base, base  # a block may depend on the recipe before it, or on all blocks before it
    for block in blocks(page, tmp_path):
        if "run" in block:
            complete = before = block
            loaded(block, tmp_path)
            continue
        before, errors = merged(before, block), list[str]()
        for recipe in (merged(base, block), merged(complete, block), before):
            try:
                loaded(recipe, tmp_path)
                break
            except RecipeError as error:
                errors.append(str(error))
        else:
            pytest.fail("\n".join(errors))


def test_there_are_blocks() -> None:
    assert len(WITH_BLOCKS) >= 10
