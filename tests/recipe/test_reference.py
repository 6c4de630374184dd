"""The recipe reference."""

import re
from pathlib import Path

from generate_recipe import reference
from nmt_cli.recipe.loading.schema_walk import sections
from nmt_cli.recipe.schema import Recipe

COMMITTED = Path(__file__).parents[2] / "docs" / "recipe.md"


def test_committed_reference_equals_the_generated_one() -> None:
    assert COMMITTED.read_bytes().decode() == reference(), "run: python docs/generate_recipe.py > docs/recipe.md"


def test_every_setting_has_a_description() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| .* \| (.+) \|$", reference(), re.MULTILINE)
    assert {name for name, _, _ in rows} >= {
        name for classes in sections(Recipe).values() for section in classes for name in section.model_fields
    }


def test_every_link_has_a_heading() -> None:
    headings = {
        re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^## (.*)$", reference(), re.MULTILINE)
    }
    links = re.findall(r"\(#([^)]*)\)", reference())
    assert len(links) > 10
    assert set(links) <= headings
