"""The commands of the data guide run and print as shown."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from guide_commands import add_nmt, run

from nmt_cli.recipe.filters import Filter
from nmt_cli.recipe.loading import load_recipe

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "data.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", GUIDE, flags=re.DOTALL | re.MULTILINE)
RECIPE = next(text for kind, text in BLOCKS if text.startswith("# en-de.yaml\n"))
PARTS = [text for kind, text in BLOCKS if kind == "yaml" and text != RECIPE]

Run = tuple[str, str, str]


@pytest.fixture
def project(tmp_path: Path, fast_python: Path) -> Path:
    """A folder with the recipe and Makefile of the guide."""
    folder = tmp_path
    add_nmt(folder, fast_python)
    (folder / "en-de.yaml").write_text(RECIPE)
    [makefile] = [text for kind, text in BLOCKS if kind == "make"]
    (folder / "Makefile").write_text(makefile)
    return folder


def run_all(project: Path) -> list[Run]:
    """Run all blocks of commands in order; return commands, output, and the output shown in the guide."""
    found = []
    for (kind, commands), (next_kind, shown) in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True):
        if kind == "sh":
            is_shown = next_kind == "" and f"{commands}```\n\n```\n{shown}" in GUIDE
            found.append((commands, run(project, commands, subprocess.STDOUT), shown if is_shown else ""))
    return found


@pytest.mark.slow
def test_commands_of_the_guide_run_as_shown(project: Path) -> None:
    """Commands print what is shown, every line of the three files is counted, and make builds the shards."""
    said = run_all(project)

    assert sum(bool(shown) for _, _, shown in said) >= 5
    for commands, told, shown in said:
        lines = iter(line.rstrip() for line in told.split("\n"))
        for line in shown.split("\n"):
            assert line.rstrip() in lines, f"{line!r} is missing, or in another order:\n{commands}\n{told}"

    manifest = project / "prepared/manifest.json"
    before = manifest.read_bytes()
    corpora = json.loads(before)["corpora"]
    assert [counts["read"] for counts in corpora.values()] == [6, 6, 3, 2]
    for counts in corpora.values():
        assert counts["read"] == counts["kept"] + sum(counts["dropped"].values())

    run(project, "rm -r prepared; make -j3 2>&1")
    assert manifest.read_bytes() == before


@pytest.mark.parametrize("part", PARTS)
def test_recipe_fragment_fits_the_recipe_of_the_guide(part: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(_joined(yaml.safe_load(RECIPE), yaml.safe_load(part)), sort_keys=False))
    load_recipe(path)


def test_guide_shows_every_filter() -> None:
    for each in get_args(get_args(Filter)[0]):
        [name] = get_args(each.model_fields["type"].annotation)
        assert re.search(rf"^\| `{name}`", GUIDE, flags=re.MULTILINE), name


def _joined(recipe: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return the recipe with the settings of a fragment, whose corpora replace those of the recipe."""
    found = dict(recipe)
    for key, value in part.items():
        is_section = isinstance(value, dict) and isinstance(found.get(key), dict) and key not in ("train", "valid")
        found[key] = _joined(found[key], value) if is_section else value
    if "train" in part:
        scored = any("score" in corpus for corpus in part["train"].values())
        found["filters"] = [each for each in found["filters"] if scored or each["type"] != "score"]
    return found
