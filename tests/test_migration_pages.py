"""The migration pages name keys of recipes that exist, with values that are valid."""

import re
from pathlib import Path

import pytest

from nmt_cli.errors import RecipeError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.loading.schema_walk import NAME, section_classes
from nmt_cli.recipe.schema import Recipe

PAGES = sorted((Path(__file__).parents[1] / "docs" / "migrating").glob("*.md"))
SECTIONS = ("data", "tokenizer", "model", "training", "decoding", "evaluation")
KEY = re.compile(rf"({'|'.join(SECTIONS)})(\.[A-Za-z_]+)+")
RECIPE = """\
run: run
data:
  source_language: en
  target_language: de
  prepared: prepared
  train: {corpus: {source: a, target: b}}
  valid: {dev: {source: a, target: b}}
model: {architecture: ARCHITECTURE}
"""


def keys(page: Path) -> list[tuple[str, str]]:
    """The keys in the last columns of a page's tables, each with its value, if it has one."""
    cells = [line.rstrip(" |").split(" | ")[-1] for line in page.read_text("utf-8").split("\n") if line.startswith("|")]
    spans = [span for cell in cells for span in re.findall(r"`([^`]+)`", cell)]
    found = [span.partition(": ")[::2] for span in spans]
    return [(key, value) for key, value in found if KEY.fullmatch(key)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_keys_exist(page: Path) -> None:
    found = keys(page)
    assert len(found) > 40
    for key, _ in found:
        *section, name = key.replace(NAME, "corpus").split(".")
        classes = section_classes(Recipe, tuple(section))
        assert any(name in each.model_fields for each in classes), key


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_values_are_valid(page: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{architecture}.yaml" for architecture in ("transformer", "rnn")]
    for path in paths:
        path.write_text(RECIPE.replace("ARCHITECTURE", path.stem))
    for key, value in keys(page):
        if not value or key in ("model.architecture", "data.train.NAME.format"):
            continue
        errors = []
        for path in paths:
            try:
                load_recipe(path, [f"{key}={value}"])
            except RecipeError as error:
                errors.append(str(error))
        assert len(errors) < len(paths), errors
