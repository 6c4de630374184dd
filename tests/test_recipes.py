"""The recipes that are shipped."""

import re
from pathlib import Path

import pytest

from nmt_cli.recipe.loading import load_recipe

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))


def test_recipes_are_shipped() -> None:
    assert len(RECIPES) >= 4


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_loads_is_short_and_says_what_it_is(path: Path) -> None:
    recipe = load_recipe(path)
    lines = path.read_bytes().split(b"\n")
    assert len(lines) - 1 <= 40
    assert lines[0].startswith(b"# ")
    assert recipe.run == Path("runs") / path.stem


@pytest.mark.parametrize("page", ["README.md", "docs/makefiles.md"])
def test_a_recipe_in_the_documentation_loads(page: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        path = tmp_path / "recipe.yaml"
        path.write_text(block)
        load_recipe(path)
