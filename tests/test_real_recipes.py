"""Recipes that mix and clean corpora work on real text, from preprocessing to translation."""

import gzip
import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from guide_commands import add_nmt

from nmt_cli.data.tokenizer import Tokenizer

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (SHARED / "multi30k").is_dir(), reason="the shared Multi30k files are not there"),
    pytest.mark.skipif(not (SHARED / "tatoeba-en-de").is_dir(), reason="the shared Tatoeba files are not there"),
]

MANY, FEW = 15_000, 12
"""Lines of training text, and of validation and test sets, which a hardly trained model translates slowly."""
QUICK = [
    *("model.encoder_layers=1", "model.decoder_layers=1", "model.width=32", "model.feed_forward=64", "model.heads=2"),
    *("training.update_tokens=1024", "training.precision=fp32", "training.limits.updates=4"),
    *("training.validation.every=2", "training.logging.every=1", "decoding.beam_size=2", "decoding.max_length=20"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, fast_python: Path) -> Path:
    """A folder with nmt and the beginning of both corpora, as the data scripts make them."""
    folder = tmp_path_factory.mktemp("real")
    add_nmt(folder, fast_python)
    for name in ("multi30k", "tatoeba-en-de"):
        script = ROOT / "data_scripts" / f"{name.partition('-')[0]}.py"
        subprocess.run([sys.executable, script, "--from", SHARED / name], cwd=folder, check=True, capture_output=True)
    for path in folder.glob("data/*/*"):
        count = MANY if path.name.startswith("train") else FEW
        path.write_bytes(b"".join(line + b"\n" for line in path.read_bytes().split(b"\n")[:count]))
    return folder


def nmt(folder: Path, *arguments: str | Path, given: str = "") -> str:
    """Return the output of a command, which must succeed."""
    found = subprocess.run([folder / "nmt", *arguments], cwd=folder, input=given, capture_output=True, text=True)
    assert found.returncode == 0, f"{arguments}\n{found.stderr}"
    return found.stdout


def trained(folder: Path, recipe: Path, *options: str) -> list[dict[str, Any]]:
    """Return the training log of a few updates of a recipe after preprocessing."""
    settings = [word for option in [*QUICK, *options] for word in ("--set", option)]
    nmt(folder, "preprocess", recipe, *settings)
    nmt(folder, "train", recipe, *settings)
    journal = (folder / "runs" / recipe.stem / "metrics.jsonl").read_text()
    return [json.loads(line) for line in journal.removesuffix("\n").split("\n")]


def accounted(prepared: Path) -> dict[str, dict[str, Any]]:
    """Return the counts of each corpus in the manifest, which must cover all lines."""
    corpora: dict[str, dict[str, Any]] = json.loads((prepared / "manifest.json").read_bytes())["corpora"]
    for counts in corpora.values():
        assert counts["read"] == counts["kept"] + sum(counts["dropped"].values())
        assert counts["kept"] == sum(counts["shards"])
        assert counts["dropped"].keys() == counts["examples"].keys()
    return corpora


def test_one_model_is_trained_on_three_directions(folder: Path) -> None:
    journal = trained(folder, ROOT / "recipes/multi30k_multilingual.yaml")

    prepared = folder / "data/multi30k/prepared_multilingual"
    corpora, tokenizer = accounted(prepared), Tokenizer.load(prepared / "tokenizer")
    learned = {name: corpora[f"train/{name}"] for name in ("en_de", "fr_de", "en_fr")}
    assert [counts["read"] for counts in learned.values()] == [MANY] * 3
    tags = {"en_de": "2de", "fr_de": "2de", "en_fr": "2fr"}
    assert {name: counts["prefix"] for name, counts in learned.items()} == {
        name: [tokenizer.tag_id(tag)] for name, tag in tags.items()
    }
    assert journal_mixture(journal).keys() == set(tags)
    assert {record["set"] for record in journal if record["kind"] == "valid"} == set(tags)
    nmt(folder, "evaluate", "runs/multi30k_multilingual")
    for name in tags:
        assert (folder / f"runs/multi30k_multilingual/evaluation/{name}/scores.json").is_file()
    lines = "Two dogs are playing.\n\nA man.\n"
    for options in ([], ["--target-language", "fr"]):
        assert nmt(folder, "translate", "runs/multi30k_multilingual", *options, given=lines).count("\n") == 3


@pytest.mark.long
def test_cleaned_mixture_runs_through_its_stages(folder: Path) -> None:
    journal = trained(folder, ROOT / "recipes/tatoeba_cleaned.yaml")

    corpora = accounted(folder / "data/tatoeba-en-de/prepared_cleaned")
    assert corpora["train/tatoeba"]["read"] == corpora["train/captions"]["read"] == MANY
    dropped = corpora["train/tatoeba"]["dropped"]
    assert dropped.keys() >= {"near_duplicates"}
    assert sum(dropped.values()) < corpora["train/tatoeba"]["read"] / 100, "filters drop clean text"
    assert journal_mixture(journal).keys() == {"tatoeba", "captions"}
    for options in ([], ["--corpus-tag", "captions"]):
        assert nmt(folder, "translate", "runs/tatoeba_cleaned", *options, given="A man.\n\nNo!\n").count("\n") == 3


def journal_mixture(journal: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Return the counts of each corpus up to the last update."""
    found: dict[str, dict[str, int]] = [record for record in journal if record["kind"] == "train"][-1]["mixture"]
    return found


FORMATS = {
    "lines": "{source: some.en, target: some.de, score: some.score}",
    "tsv": "{format: tsv, file: some.tsv, source: English, target: German, score: score}",
    "jsonl": "{format: jsonl, file: some.jsonl.gz, source: text.en, target: text.de, score: score}",
    "tmx": "{format: tmx, file: some.tmx}",
}
SOME = """\
run: runs/some
data:
  source_language: en
  target_language: de
  prepared: data/some
  train: {{tatoeba: {corpus}}}
  valid: {{dev: {{source: data/tatoeba-en-de/valid.en, target: data/tatoeba-en-de/valid.de}}}}
  filters: [{{type: length}}, {{type: ratio}}, {{type: identical}}, {{type: overlap}}, {{type: duplicates}}{more}]
tokenizer: {{vocabulary_size: 800}}
model: {{architecture: transformer, preset: tiny}}
"""


ONE_EPOCH = ["training.limits={epochs: 1}", "training.validation.every=1000"]
MORE = "data.train.captions={source: captions.en, target: captions.de}"


@pytest.fixture(scope="module")
def pairs(folder: Path) -> list[tuple[str, str]]:
    """Several thousand pairs of Tatoeba in all formats."""
    sides = []
    for language in ("en", "de"):
        captions = (folder / f"data/multi30k/train.{language}").read_bytes().split(b"\n")[:300]
        (folder / f"captions.{language}").write_bytes(b"".join(line + b"\n" for line in captions))
        with (folder / f"data/tatoeba-en-de/train.{language}").open(encoding="utf-8", newline="\n") as file:
            sides.append([line.rstrip("\n") for line in islice(file, 10_000, 13_000)])
    found = list(zip(*sides, strict=True))
    scored = [(source, target, str(number % 10)) for number, (source, target) in enumerate(found)]
    for column, suffix in enumerate(("en", "de", "score")):
        (folder / f"some.{suffix}").write_text("".join(f"{row[column]}\n" for row in scored))
    table = [("English", "German", "score"), *scored]
    (folder / "some.tsv").write_text("".join("\t".join(row) + "\r\n" for row in table), newline="")
    objects = [{"text": {"en": source, "de": target}, "score": int(score)} for source, target, score in scored]
    packed = gzip.compress("".join(f"{json.dumps(each)}\n" for each in objects).encode())
    (folder / "some.jsonl.gz").write_bytes(packed)
    units = [
        "".join(
            f'<tuv xml:lang="{code}"><seg>{escape(text)}</seg></tuv>' for code, text in (("de", target), ("en", source))
        )
        for source, target in found
    ]
    body = "".join(f"<tu>{unit}</tu>" for unit in units)
    (folder / "some.tmx").write_text(f'<tmx version="1.4"><header/><body>{body}</body></tmx>')
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_keeps_the_same_text(name: str, folder: Path, pairs: list[tuple[str, str]]) -> None:
    recipe = folder / f"{name}.yaml"
    more = "" if name == "tmx" else ", {type: score, min: 3}"
    recipe.write_text(SOME.format(corpus=FORMATS[name], more=more))

    nmt(folder, "preprocess", recipe)

    counts = accounted(folder / "data/some")["train/tatoeba"]
    seen: dict[tuple[str, str], None] = {}
    for number, pair in enumerate(pairs):
        if name == "tmx" or number % 10 >= 3:
            seen[pair] = None
    held_out = {(source, target) for source, target in seen} & set(_valid(folder))
    assert counts["read"] == len(pairs)
    assert counts["kept"] == len(seen) - len(held_out) - sum(
        number for reason, number in counts["dropped"].items() if reason in ("length", "ratio", "identical")
    )
    assert counts["dropped"].get("score", 0) == (0 if name == "tmx" else 900)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(
            ["data.context={sentences: 2}", "tokenizer.algorithm=bpe"], id="documents", marks=pytest.mark.long
        ),
        pytest.param(
            ["tokenizer.algorithm=character", "training.augmentation={upper_case: 0.5, typos: 0.5, noise: 0.5}"],
            id="augmented",
            marks=pytest.mark.long,
        ),
        pytest.param(
            ["tokenizer.normalization=punctuation", MORE, "training.mixing.temperature=3", *ONE_EPOCH], id="mixed"
        ),
        pytest.param(
            ["data.filters=[{type: language, command: sed s/.*/en/, sides: source}]"],
            id="asked",
            marks=pytest.mark.long,
        ),
    ],
)
def test_real_text_is_prepared_and_trained_on(
    options: list[str], folder: Path, pairs: list[tuple[str, str]], request: pytest.FixtureRequest
) -> None:
    recipe = folder / f"{request.node.callspec.id}.yaml"
    recipe.write_text(SOME.format(corpus=FORMATS["lines"], more="").replace("runs/some", f"runs/{recipe.stem}"))

    journal = trained(folder, recipe, *options)

    corpora = accounted(folder / "data/some")
    assert corpora["train/tatoeba"]["read"] == len(pairs)
    if MORE in options:
        came = {name: learned["pairs"] for name, learned in journal_mixture(journal).items()}
        sizes = {name: corpora[f"train/{name}"]["kept"] for name in came}
        wanted = (sizes["captions"] / sizes["tatoeba"]) ** (1 / 3)
        assert came["captions"] / came["tatoeba"] == pytest.approx(wanted, rel=0.05)
    assert any(record["kind"] == "valid" for record in journal)
    assert nmt(folder, "translate", f"runs/{recipe.stem}", given="Tom is here.\n\nWhy?\n").count("\n") == 3


def _valid(folder: Path) -> list[tuple[str, str]]:
    sides = [
        (folder / f"data/tatoeba-en-de/valid.{each}").read_text(encoding="utf-8").split("\n") for each in ("en", "de")
    ]
    return list(zip(*sides, strict=True))
