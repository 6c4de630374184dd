"""The commands of the translation guide run as shown, and the guide covers all options."""

import re
from pathlib import Path

import pytest
from guide_commands import add_nmt, run
from typer.testing import CliRunner

from nmt_cli.cli import app

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "translating.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", GUIDE, flags=re.DOTALL | re.MULTILINE)
[SOURCES] = re.findall(r"^```text\n(.*?)^```", GUIDE, flags=re.DOTALL | re.MULTILINE)

ENGLISH = ["A man is riding a bike", "Two dogs are playing", "A girl in a pink dress is climbing", "the street"]
GERMAN = ["Ein Mann fährt Fahrrad", "Zwei Hunde spielen", "Ein Mädchen in einem rosa Kleid klettert", "die Straße"]
RECIPE = """\
run: runs/{name}
data:
  source_language: en
  target_language: de
  prepared: prepared
  filters: []
  train: {{corpus: {{source: train.en, target: train.de}}}}
  valid: {{dev: {{source: train.en, target: train.de}}}}
tokenizer: {{vocabulary_size: 310}}
model: {{architecture: transformer, encoder_layers: 1, decoder_layers: 1, width: 16, feed_forward: 32, heads: 2}}
seed: {seed}
training: {{update_tokens: 64, limits: {{updates: 20}}, schedule: {{warmup: 5}}, validation: {{every: 10}}}}
decoding: {{max_length: 12}}  # these models would rarely end a sentence earlier
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, fast_python: Path) -> Path:
    """A folder with what the guide assumes: two small models that share a tokenizer, and a file of lines."""
    folder = tmp_path_factory.mktemp("guide")
    (folder / "in.en").write_text(SOURCES)
    for path, texts in (("train.en", ENGLISH), ("train.de", GERMAN)):
        (folder / path).write_text("".join(f"{one} {other}.\n" for one in texts for other in texts))
    add_nmt(folder, fast_python)
    for seed, name in enumerate(("en-de", "en-de-2"), 1):
        (folder / f"{name}.yaml").write_text(RECIPE.format(name=name, seed=seed))
        run(folder, f"nmt preprocess {name}.yaml; nmt train {name}.yaml")
    return folder


@pytest.mark.slow
def test_every_command_runs(project: Path) -> None:
    printed = [run(project, block) for block in BLOCKS]

    assert len(printed) > 10
    for name in ("out.de", "fast.de", "greedy.de", "two.de", "joined.de"):
        assert (project / name).read_bytes().count(b"\n") == SOURCES.count("\n"), name
    assert (project / "joined.de").read_bytes() == (project / "out.de").read_bytes()


@pytest.mark.parametrize("verb", ["translate", "score"])
def test_guide_shows_every_option(verb: str) -> None:
    told = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "200"}).stdout
    options = [each.split(", ") for each in re.findall(r"^  +((?:-\w, )?--[a-z-]+)", told, flags=re.MULTILINE)]

    assert len(options) > 5
    for names in options:
        if names[-1] not in ("--quiet", "--help"):
            assert any(re.search(rf"(?<=\s|`){name}\b", GUIDE) for name in names), names
