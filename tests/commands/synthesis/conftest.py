"""A project for tests of text made by models: a recipe, monolingual text, and a model of chance weights."""

from pathlib import Path

import pytest
from synthesis_project import RECIPE, TEXT, write_lines
from toy_model import save_toy_model

from nmt_cli.commands.synthesis import translations


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a recipe from German into English, in a new working directory, with `mono` and `reverse` beside it.

    The recipe of `reverse` names English as its source language and German as its target. Parts have 16 lines.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(translations, "PART_LINES", 16)
    save_toy_model(Path("reverse"))
    write_lines("mono", TEXT)
    for name, lines in (("train", TEXT[:8]), ("dev", ["three tree", "four fore"]), ("test", ["two too", "ten hen"])):
        write_lines(f"{name}.en", lines)
        write_lines(f"{name}.de", [line[::-1] for line in lines])
    Path("recipe.yaml").write_text(RECIPE)
    return Path("recipe.yaml")
