"""Each command in the documentation has a name and options that exist. Some pages are also run by other tests."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from nmt_cli.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
END_OF_COMMAND = re.compile(r"[|;&<>].*")


def commands_of(page: Path) -> list[list[str]]:
    """Return the words of each `nmt` command in the blocks of a page, without what follows in a pipe."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    text = "".join(block for kind, block in blocks if kind in ("", "sh")).replace("\\\n", " ")
    found = []
    for line in text.split("\n"):
        if not re.match(r"nmt [a-z]", line):
            continue
        words = shlex.split(line, comments=True)
        end = next((index for index, word in enumerate(words) if END_OF_COMMAND.match(word)), len(words))
        found.append(words[1:end])
    return found


def test_many_commands_are_documented() -> None:
    assert sum(len(commands_of(page)) for page in PAGES) > 100


@pytest.mark.parametrize("page", [page for page in PAGES if commands_of(page)], ids=lambda page: page.stem)
def test_documented_commands_and_options_exist(page: Path) -> None:
    for verb, *words in commands_of(page):
        assert verb in COMMANDS, verb
        options = {name for option in COMMANDS[verb].params for name in [*option.opts, *option.secondary_opts]}
        used = [word.split("=")[0] for word in words if re.match(r"--?[A-Za-z]", word)]
        assert set(used) <= options | {"--help"}, f"nmt {verb} {shlex.join(words)}"
