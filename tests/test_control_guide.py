"""The commands of the guide to control run as shown, and lengths, tags and lists have the effect that it describes."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from guide_commands import add_nmt, run

from nmt_cli.text.terms import MAX_TERM_LENGTH, MAX_TERMS

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "control.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", GUIDE, flags=re.DOTALL | re.MULTILINE)
[POLITE] = [text for text in re.findall(r"^```yaml\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE) if "run:" in text]
QUICK = """
training: {update_tokens: 64, limits: {updates: 10}, schedule: {warmup: 5}, validation: {every: 10}}
decoding: {max_length: 12}
"""
YEARS = """\
run: runs/years
data:
  source_language: en
  target_language: en
  prepared: prepared-years
  filters: []
  train: {years: {source: in.digits, target: words}}
  valid: {years: {source: in.digits, target: words}}
  length_tags: true
model: {architecture: transformer, encoder_layers: 1, decoder_layers: 1, width: 16, feed_forward: 32, heads: 2}
"""
ENGLISH = ["Do you see the {}?", "You buy the {}.", "The {} is here.", "Can you find the {}?"]
GERMAN = ["Sehen Sie das {}?", "Kaufst du das {}.", "Das {} ist hier.", "Können Sie das {} finden?"]
NOUNS = [
    ("bicycle", "Fahrrad"),
    ("house", "Haus"),
    ("book", "Buch"),
    ("car", "Auto"),
    ("dog", "Tier"),
    ("town", "Dorf"),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, fast_python: Path) -> Path:
    """A folder with what the guide assumes: a model with length tags, text with both forms of address, and lists."""
    folder = tmp_path_factory.mktemp("control")
    pairs = [
        (source.format(noun[0]), target.format(noun[1]))
        for source, target in zip(ENGLISH, GERMAN, strict=True)
        for noun in NOUNS
    ]
    for path, lines in {
        "train.en": [source for source, _ in pairs],
        "train.de": [target for _, target in pairs],
        "dev.en": ["Do you see the bird?"],
        "dev.de": ["Sehen Sie den Vogel?"],
        "in.en": ["Do you see the dog?", "", "You buy the town."],
        "in.digits": ["1 9", "2 8", "4 4"] * 5,
        "words": ["nineteen", "twenty eight", "the number forty four"] * 5,
        "toxic.de": ["idiot*"],
        "toxic.en": ["fool*"],
    }.items():
        (folder / path).write_text("".join(f"{line}\n" for line in lines))
    add_nmt(folder, fast_python)
    (folder / "polite.yaml").write_text(POLITE + QUICK)
    (folder / "years.yaml").write_text(YEARS + QUICK.lstrip())
    run(folder, "nmt preprocess years.yaml; nmt train years.yaml")
    return folder


@pytest.mark.slow
def test_every_command_runs(project: Path) -> None:
    printed = [run(project, block) for block in BLOCKS]

    assert len(printed) == 5
    assert (project / "formal.tsv").read_text().count("\n") == 12
    assert (project / "informal.tsv").read_text().count("\n") == 6
    for name in ("formal.de", "informal.de", "clean.de"):
        assert (project / name).read_bytes().count(b"\n") == 3, name
    assert (project / "short.words").read_bytes().count(b"\n") == 15
    assert all(len(json.loads(line)) >= 4 for line in printed[3].splitlines())
    assert json.loads((project / "runs/polite/evaluation/dev/toxicity.json").read_bytes())["sentences"] == 1
    refused = subprocess.run(
        [project / "nmt", "translate", "runs/polite", "-i", "in.en", "--length", "short"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1


def test_limits_of_lists_are_those_of_the_guide() -> None:
    assert f"{MAX_TERMS:,} terms of {MAX_TERM_LENGTH:,} characters" in GUIDE
