"""The recipes that mix corpora do on real text what they say, from preprocessing to translation."""

import gzip
import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from nmt_cli.data.tokenizer import Tokenizer

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (SHARED / "multi30k").is_dir(), reason="the shared Multi30k files are not there"),
    pytest.mark.skipif(not (SHARED / "tatoeba-en-de").is_dir(), reason="the shared Tatoeba files are not there"),
]

FEW = 12
"""Lines of validation and test sets, which a model that has hardly learned translates slowly."""
QUICK = [
    *("model.encoder_layers=1", "model.decoder_layers=1", "model.width=32", "model.feed_forward=64", "model.heads=2"),
    *("training.update_tokens=1024", "training.precision=fp32", "training.limits.updates=4"),
    *("training.validation.every=2", "training.logging.every=1", "decoding.beam_size=2", "decoding.max_length=20"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the data scripts have left both corpora, with short validation and test sets."""
    folder = tmp_path_factory.mktemp("real")
    for name in ("multi30k", "tatoeba-en-de"):
        script = ROOT / "data_scripts" / f"{name.partition('-')[0]}.py"
        subprocess.run([sys.executable, script, "--from", SHARED / name], cwd=folder, check=True, capture_output=True)
    for path in folder.glob("data/*/*"):
        if not path.name.startswith("train"):
            path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:FEW]))
    return folder


def nmt(folder: Path, *arguments: str | Path, given: str = "") -> str:
    """What a command prints, which must end well."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, "-m", "nmt_cli", *arguments],
        cwd=folder,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, f"{arguments}\n{found.stderr}"
    return found.stdout


def trained(folder: Path, recipe: Path, *options: str) -> list[dict[str, Any]]:
    """The journal of a few updates by a recipe, on data that it has prepared."""
    settings = [word for option in [*QUICK, *options] for word in ("--set", option)]
    nmt(folder, "preprocess", recipe, *settings)
    nmt(folder, "train", recipe, *settings)
    return [json.loads(line) for line in (folder / "runs" / recipe.stem / "metrics.jsonl").read_bytes().split(b"\n")[:-1]]


def accounted(prepared: Path) -> dict[str, dict[str, Any]]:
    """What the manifest says of each corpus, in which no line may be missing."""
    corpora: dict[str, dict[str, Any]] = json.loads((prepared / "manifest.json").read_bytes())["corpora"]
    for counts in corpora.values():
        assert counts["read"] == counts["kept"] + sum(counts["dropped"].values())
        assert counts["kept"] == sum(counts["shards"])
        assert counts["dropped"].keys() == counts["examples"].keys()
    return corpora


def test_one_model_learns_three_directions(folder: Path) -> None:
    journal = trained(folder, ROOT / "recipes/multi30k_multilingual.yaml")

    prepared = folder / "data/multi30k/prepared_multilingual"
    corpora, tokenizer = accounted(prepared), Tokenizer.load(prepared / "tokenizer")
    learned = {name: corpora[f"train/{name}"] for name in ("en_de", "fr_de", "en_fr")}
    assert [counts["read"] for counts in learned.values()] == [29_000] * 3
    tags = {"en_de": "2de", "fr_de": "2de", "en_fr": "2fr"}
    assert {name: counts["prefix"] for name, counts in learned.items()} == {
        name: [tokenizer.tag(tag)] for name, tag in tags.items()
    }
    pairs = {name: came["pairs"] for name, came in journal_mixture(journal).items()}
    assert pairs["en_fr"] == pytest.approx(pairs["en_de"] / 2, rel=0.5)
    assert {record["set"] for record in journal if record["kind"] == "valid"} == set(tags)
    nmt(folder, "evaluate", "runs/multi30k_multilingual")
    for name in tags:
        assert (folder / f"runs/multi30k_multilingual/evaluation/{name}/scores.json").is_file()
    lines = "Two dogs are playing.\n\nA man.\n"
    for options in ([], ["--target-language", "fr"]):
        assert nmt(folder, "translate", "runs/multi30k_multilingual", *options, given=lines).count("\n") == 3


def test_a_cleaned_mixture_goes_from_stage_to_stage(folder: Path) -> None:
    journal = trained(folder, ROOT / "recipes/tatoeba_cleaned.yaml")

    corpora = accounted(folder / "data/tatoeba-en-de/prepared_cleaned")
    with gzip.open(SHARED / "tatoeba-en-de/train.en.gz") as file:
        assert 0.95 < corpora["train/tatoeba"]["read"] / sum(1 for _ in file) < 1
    assert corpora["train/captions"]["read"] == 29_000
    dropped = corpora["train/tatoeba"]["dropped"]
    assert dropped.keys() >= {"near_duplicates"}
    assert sum(dropped.values()) < corpora["train/tatoeba"]["read"] / 100, "the text is clean, and filters should see it"
    mixture = {name: came["pairs"] for name, came in journal_mixture(journal).items()}
    assert mixture["captions"] == pytest.approx(mixture["tatoeba"], rel=0.3)
    for options in ([], ["--tag", "captions"]):
        assert nmt(folder, "translate", "runs/tatoeba_cleaned", *options, given="A man.\n\nNo!\n").count("\n") == 3


def journal_mixture(journal: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """What came of each corpus up to the last update."""
    found: dict[str, dict[str, int]] = [record for record in journal if record["kind"] == "train"][-1]["mixture"]
    return found
